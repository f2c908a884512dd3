//! The redactor against a plain statement of what it does, on texts made to be difficult.

use meshkeep_core::SecretText;
use proptest::prelude::*;

use super::{
    Redactor, forms,
    fuzz::{self, plainly},
};

fn redactor(values: &[String]) -> Redactor {
    Redactor::new(values.iter().map(|value| SecretText::from(value.as_str())))
}

fn in_pieces(redactor: &mut Redactor, text: &[u8], mut cuts: Vec<usize>) -> Vec<u8> {
    cuts.sort_unstable();
    let (mut out, mut at) = (Vec::new(), 0);
    for cut in cuts.into_iter().chain([text.len()]) {
        redactor.push(&text[at..cut], &mut out);
        at = cut;
    }
    redactor.flush(&mut out);
    out
}

/// Values of few letters, so that they overlap with themselves and each other, and text made of their pieces and forms.
fn values_and_text() -> impl Strategy<Value = (Vec<String>, Vec<u8>)> {
    let value = prop_oneof!["[ab]{0,14}", "(ab){3,6}a?", "[a-c/\" \n]{6,20}", "[aé\u{1F600}%&<]{3,8}", "[ -~]{6,12}"];
    proptest::collection::vec(value, 1..5).prop_flat_map(|values| {
        let forms: Vec<Vec<u8>> = values.iter().flat_map(|value| forms::of(value)).map(|form| form.to_vec()).collect();
        let other = || prop_oneof!["[ab]{0,6}", "[ -~\n]{0,8}"].prop_map(String::into_bytes);
        let piece = if forms.is_empty() {
            other().boxed()
        } else {
            let part = (proptest::sample::select(forms), any::<proptest::sample::Index>(), any::<bool>())
                .prop_map(|(form, at, whole)| if whole { form } else { form[..at.index(form.len())].to_vec() });
            prop_oneof![3 => part, 2 => other()].boxed()
        };
        let text = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
        (Just(values), text)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_does_what_is_said_plainly_wherever_the_text_is_cut(
        (values, text) in values_and_text(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let expected = plainly(&values, &text);
        let cuts = cuts.into_iter().map(|cut| cut.index(text.len() + 1)).collect();
        let mut one = redactor(&values);
        prop_assert_eq!(&in_pieces(&mut one, &text, cuts), &expected);
        // And the same redactor again, byte by byte, after it was flushed; and another stream's.
        let mut other = one.clone();
        prop_assert_eq!(&in_pieces(&mut one, &text, (0..text.len()).collect()), &expected);
        prop_assert_eq!(&in_pieces(&mut other, &text, Vec::new()), &expected);
    }

    #[test]
    fn no_more_is_held_back_than_may_become_a_pattern((values, text) in values_and_text()) {
        let mut redactor = redactor(&values);
        let mut out = Vec::new();
        redactor.push(&text, &mut out);
        let patterns: Vec<_> = values.iter().flat_map(|value| forms::of(value)).collect();
        let expected = (0..text.len())
            .find(|start| {
                let rest = &text[*start..];
                patterns.iter().any(|form| form.len() > rest.len() && form.starts_with(rest))
            })
            .map_or(0, |start| text.len() - start);
        prop_assert_eq!(redactor.held(), expected);
    }
}

#[test]
fn values_vanish_from_ordinary_lines() {
    let values = ["s3cr3t-t0ken".to_owned(), "-----BEGIN KEY-----\nMIIabcdef\nxyz\n-----END KEY-----\n".to_owned()];
    let mut redactor = redactor(&values);
    let text =
        b"token=s3cr3t-t0ken;\nMIIabcdef and xyz; basic dXNlcjpzM2NyM3QtdDBrZW4=\ns3cr3ts3cr3t-t0kens3cr3t-t0ken!\n";
    let out = in_pieces(&mut redactor, text, vec![8, 9, 30]);
    let expected = "token=[redacted];\n[redacted] and xyz; basic dXNlcjp[redacted]4=\ns3cr3t[redacted]!\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn without_values_everything_passes_at_once() {
    let mut redactor = redactor(&["short".to_owned(), String::new()]);
    let mut out = Vec::new();
    redactor.push(b"short and sweet", &mut out);
    assert_eq!((out.as_slice(), redactor.held()), (b"short and sweet".as_slice(), 0));
}

#[test]
fn values_of_any_length_are_found() {
    let long: String = (0..131_000_u32).map(|n| char::from(b'a' + (n % 1009 * n % 23) as u8)).collect();
    let mut redactor = redactor(std::slice::from_ref(&long));
    let mut out = Vec::new();
    for chunk in long.as_bytes().chunks(4096) {
        assert!(out.is_empty(), "before the last");
        redactor.push(chunk, &mut out);
    }
    redactor.push(b"!", &mut out);
    assert_eq!(out, b"[redacted]!");
}

#[test]
fn the_fuzzers_corpus_holds() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/redactor");
    let mut inputs = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        fuzz::redactor(&std::fs::read(file.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 3, "the corpus is nearly empty");
}
