//! All help texts in one reviewed file, `help.txt` beside this one.

use std::{fmt::Write as _, fs, path::Path};

use crate::support::{bare, run, text};

#[test]
fn the_help_is_as_it_was_reviewed() {
    let mut all = String::new();
    collect(&mut Vec::new(), &mut all);
    let reviewed = include_str!("help.txt");
    if all != reviewed {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("help.txt");
        fs::write(&place, &all).expect("the target directory can be written");
        let differs = all.lines().zip(reviewed.lines()).find(|(now, before)| now != before);
        panic!("the help changed, first at {differs:?}; review {} and copy it to tests/cli/help.txt", place.display());
    }
}

/// The command's help, then its subcommands', in the order they are listed.
fn collect(words: &mut Vec<String>, all: &mut String) {
    let arguments: Vec<_> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let output = run(&mut bare(&arguments), "");
    let help = text(&output.stdout);
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {}", text(&output.stderr));
    let _ = writeln!(all, "$ meshkeep {}", arguments.join(" "));
    help.trim_end().lines().for_each(|line| all.extend([line.trim_end(), "\n"]));
    all.push('\n');
    for verb in subcommands(&help) {
        words.push(verb);
        collect(words, all);
        words.pop();
    }
}

fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Lines that go on are indented further.
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn no_option_takes_a_value_that_should_be_secret() {
    let help = include_str!("help.txt");
    for option in ["--password", "--data", "--value", "--token", "--api-key"] {
        assert!(!help.split([' ', '[', ']', '=']).any(|word| word == option), "{option} is offered");
    }
}
