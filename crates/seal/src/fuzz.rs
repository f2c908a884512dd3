//! What must hold for every sealed thing that is read from a disk. `fuzz/` calls this with mutated bytes, the test below
//! with the kept ones of `fuzz/corpus`.

use crate::{Context, KeyId, Keyring, OpenError, RootKey, Sealed, envelope::Key};

const ROOT: ([u8; 16], [u8; 32]) = ([9; 16], [7; 32]);

/// Sealed bytes: what this crate did not seal does not open, and whatever is changed in what it did seal is noticed.
/// Input: two bytes for a place, one that changes the byte there, the text.
///
/// # Panics
/// When it opens.
pub fn envelope(bytes: &[u8]) {
    let ring = Keyring::new(RootKey::from_parts(KeyId::from_bytes(ROOT.0), Key::from_bytes(ROOT.1)));
    let context = Context::new("fuzz").part("place");
    let (project, _) = ring.new_project_key(&context);
    let strange = Sealed::from_bytes(bytes.to_vec());
    let _ = format!("{strange:?} {:?}", strange.key_id());
    // Nobody made a tag with these keys, but for the corpus' own envelope.
    match ring.open(&context, &strange) {
        Ok(plain) => assert_eq!(plain.as_slice(), b"plain"),
        Err(OpenError::OtherKey { needed, given }) => assert!(needed != given && given == ring.root_id()),
        Err(_) => {}
    }
    assert!(ring.project_key(&context, &strange).is_err());
    assert!(project.open(&context, &strange).is_err());
    let Some(([high, low, change], text)) = bytes.split_first_chunk::<3>() else { return };
    let place = usize::from(u16::from_be_bytes([*high, *low]));
    let other = Context::new("fuzz").part("plac").part("e");
    for (seal, open) in [
        (
            &(|text: &[u8]| ring.seal(&context, text)) as &dyn Fn(&[u8]) -> Sealed,
            &(|place: &Context, sealed: &Sealed| ring.open(place, sealed).ok()) as &dyn Fn(&Context, &Sealed) -> _,
        ),
        (&|text| project.seal(&context, text), &|place, sealed| project.open(place, sealed).ok()),
    ] {
        let sealed = seal(text);
        assert!(open(&context, &sealed).is_some_and(|plain| plain.as_slice() == text));
        assert!(open(&other, &sealed).is_none(), "it opened in another place");
        let mut changed = sealed.as_bytes().to_vec();
        let at = place % changed.len();
        changed[at] ^= change;
        let opened = open(&context, &Sealed::from_bytes(changed.clone()));
        assert_eq!(opened.is_some(), *change == 0, "byte {at}");
        changed.truncate(at);
        assert!(open(&context, &Sealed::from_bytes(changed)).is_none(), "it opened after {at} bytes");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn envelope() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/envelope");
        let mut inputs = 0;
        for file in std::fs::read_dir(dir).expect("the corpus is there") {
            super::envelope(&std::fs::read(file.expect("it is listed").path()).expect("it is a file"));
            inputs += 1;
        }
        assert!(inputs > 3, "the corpus is nearly empty");
    }
}
