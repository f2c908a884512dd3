//! Layers on one another: what overlayfs shows of our images is what unpacking one layer after the other gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::Path,
};

use proptest::prelude::*;

use crate::{
    cases::full,
    facts::{self, Fact, Facts, assert_same},
    mount::{Mounted, WAYS, Way},
    peers::{KEPT, convert_tar, place, unpack, without_root},
    tarball::{Item, tar},
};

/// Applies a layer to a directory: what it whites out goes first, then each of its entries replaces what is there.
fn apply(items: &[Item], root: &Path) {
    let root = &root.canonicalize().unwrap();
    for item in items {
        let path = root.join(OsStr::new(std::str::from_utf8(&item.path).unwrap()));
        let (parent, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        // Through a link of a lower layer nothing is hidden: what it leads to is another directory.
        let is_own = parent.canonicalize().is_ok_and(|real| real == parent);
        match name.strip_prefix(".wh.").filter(|_| is_own) {
            Some(".wh..opq") if parent.is_dir() => {
                fs::read_dir(parent).unwrap().for_each(|entry| remove(&entry.unwrap().path()));
            }
            Some(hidden) => remove(&parent.join(hidden)),
            None => {}
        }
    }
    for item in items {
        let path = root.join(OsStr::new(std::str::from_utf8(&item.path).unwrap()));
        if item.kind != b'5' || !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            remove(&path);
        }
    }
    unpack(&tar(items)[..], root);
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Asserts that the layers, the lowest first, look alike in both ways; answers what they show.
fn assert_layers(layers: &[Vec<Item>], way: Way) -> Facts {
    let dir = place();
    let unpacked = dir.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    layers.iter().for_each(|items| apply(items, &unpacked));
    let mounted = layers.iter().map(|items| Mounted::image(&convert_tar(&tar(items), dir.path()), way)).collect();
    let overlay = Mounted::overlay(mounted);
    let (shown, expected) = (facts::read(&overlay.root(), KEPT), facts::read(&unpacked, KEPT));
    assert_same("overlayfs and one after the other", &shown, &expected, |path, fact| {
        without_root(path, fact);
        // Names that another layer hides still count in overlayfs.
        *fact = Fact { same_as: None, links: 0, ..fact.clone() };
    });
    shown
}

fn names(facts: &Facts) -> Vec<&str> {
    facts.keys().map(|path| path.to_str().unwrap()).filter(|path| !path.is_empty()).collect()
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_else() {
    for way in WAYS {
        let shown = assert_layers(
            &[
                vec![
                    Item::dir("d"),
                    Item::file("d/gone", "1"),
                    Item::file("d/kept", "1"),
                    Item::dir("e"),
                    Item::file("e/x", "1"),
                    Item::symlink("l", "d"),
                    Item::file("f", "1"),
                ],
                vec![
                    Item::dir("d"),
                    Item::file("d/.wh.gone", ""),
                    Item::file(".wh.e", ""),
                    Item::file(".wh.l", ""),
                    Item::file(".wh.never", ""),
                ],
                vec![Item::dir("e"), Item::file("e/y", "3"), Item::file("l", "now a file")],
            ],
            way,
        );
        assert_eq!(names(&shown), ["d", "d/kept", "e", "e/y", "f", "l"]);
    }
}

#[test]
fn opaque_directories_hide_all_that_is_below() {
    let below = vec![
        Item::dir("d"),
        Item::file("d/one", "1"),
        Item::dir("d/sub"),
        Item::file("d/sub/two", "1"),
        Item::dir("other"),
        Item::file("other/x", "1"),
    ];
    let opaque = |marker_first: bool| {
        let mut items = vec![Item::dir("d").mode(0o700), Item::dir("d/sub"), Item::file("d/sub/new", "2")];
        items.insert(if marker_first { 1 } else { 3 }, Item::file("d/.wh..wh..opq", ""));
        items
    };
    for way in WAYS {
        for marker_first in [true, false] {
            let shown = assert_layers(&[below.clone(), opaque(marker_first), vec![Item::file("z", "3")]], way);
            assert_eq!(names(&shown), ["d", "d/sub", "d/sub/new", "other", "other/x", "z"]);
        }
    }
}

#[test]
fn a_whiteout_beside_its_own_name_hides_lower_layers_only() {
    let below = vec![Item::dir("d"), Item::file("d/old", "1"), Item::dir("f"), Item::file("f/old", "1")];
    let new = [Item::dir("d"), Item::file("d/new", "2"), Item::file("f", "a file")];
    let whiteouts = [Item::file(".wh.d", ""), Item::file(".wh.f", "")];
    for layer in [[&new[..], &whiteouts].concat(), [&whiteouts[..], &new].concat()] {
        let shown = assert_layers(&[below.clone(), layer], Way::File);
        assert_eq!(names(&shown), ["d", "d/new", "f"]);
    }
}

#[test]
fn kinds_replace_one_another() {
    let lower = vec![
        Item::dir("dir-to-file"),
        Item::file("dir-to-file/x", "1"),
        Item::file("file-to-dir", "1"),
        Item::symlink("link-to-dir", "dir-to-file"),
        Item::dir("dir-to-link"),
        Item::file("dir-to-link/x", "1"),
    ];
    let upper = vec![
        Item::file("dir-to-file", "2"),
        Item::dir("file-to-dir"),
        Item::file("file-to-dir/y", "2"),
        Item::dir("link-to-dir"),
        Item::file("link-to-dir/y", "2"),
        Item::symlink("dir-to-link", "/etc"),
    ];
    assert_layers(&[lower.clone(), upper.clone()], Way::File);
    assert_layers(&[upper.clone(), lower.clone(), upper], Way::Loop);
}

/// The tar names it `c/`, which is a link to a directory below: nothing in that directory is hidden (stereoscope#694).
#[test]
fn an_opaque_mark_hides_nothing_behind_a_link() {
    let lower = vec![Item::dir("a"), Item::dir("a/b"), Item::file("a/b/kept", "1")];
    let link = vec![Item::symlink("c", "a/b")];
    let upper = vec![Item::file("c/.wh..wh..opq", ""), Item::dir("c"), Item::file("c/new", "2")];
    let shown = assert_layers(&[lower, link, upper], Way::File);
    assert_eq!(names(&shown), ["a", "a/b", "a/b/kept", "c", "c/new"]);
}

/// What a generated layer does at a path.
#[derive(Clone, Copy, Debug)]
enum Change {
    Dir(u16),
    File(u8),
    Symlink,
    WhiteOut,
    Opaque,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..0o7777_u16).prop_map(Change::Dir),
        4 => any::<u8>().prop_map(Change::File),
        1 => Just(Change::Symlink),
        3 => Just(Change::WhiteOut),
        1 => Just(Change::Opaque),
    ]
}

fn changes() -> impl Strategy<Value = Vec<(Vec<u8>, Change)>> {
    prop::collection::vec((prop::collection::vec(0..3_u8, 1..4), change()), 1..14)
}

/// A layer that makes these changes, complete with its directories. `below` says which directories lower layers have.
fn layer(changes: &[(Vec<u8>, Change)], below: &BTreeSet<String>, order: u64) -> Vec<Item> {
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for (path, change) in changes {
        let names: Vec<String> = path.iter().map(|name| char::from(b'a' + name).to_string()).collect();
        let (path, parents) = (names.join("/"), (1..names.len()).map(|parts| names[..parts].join("/")));
        let parents: Vec<String> = parents.collect();
        if parents.iter().any(|parent| items.get(parent).is_some_and(|item| item.kind != b'5')) {
            continue;
        }
        let in_parent = |name: &str| parents.last().map_or(name.to_owned(), |parent| format!("{parent}/{name}"));
        let item = match change {
            Change::Dir(mode) => Item::dir(&path).mode(u32::from(*mode)),
            Change::File(byte) => Item::file(&path, vec![*byte; usize::from(*byte) * 30]),
            Change::Symlink => Item::symlink(&path, "a/b"),
            // Overlayfs lists a whiteout where there is nothing below to merge with.
            Change::WhiteOut if parents.last().is_some_and(|parent| !below.contains(parent)) => continue,
            Change::WhiteOut => Item::file(in_parent(&format!(".wh.{}", names.last().unwrap())), ""),
            Change::Opaque if items.get(&path).is_some_and(|item| item.kind != b'5') => continue,
            Change::Opaque => {
                items.entry(path.clone()).or_insert_with(|| Item::dir(&path));
                Item::file(format!("{path}/.wh..wh..opq"), "")
            }
        };
        for parent in parents {
            items.entry(parent.clone()).or_insert_with(|| Item::dir(parent));
        }
        items.entry(String::from_utf8(item.path.clone()).unwrap()).or_insert(item);
    }
    let (mut whiteouts, mut real): (Vec<Item>, Vec<Item>) = items.into_values().partition(is_whiteout);
    if order.is_multiple_of(2) {
        whiteouts.append(&mut real);
        whiteouts
    } else {
        real.append(&mut whiteouts);
        real
    }
}

fn is_whiteout(item: &Item) -> bool {
    item.path.rsplit(|b| *b == b'/').next().is_some_and(|name| name.starts_with(b".wh."))
}

#[test]
fn generated_layers_look_as_if_unpacked_one_after_the_other() {
    let cases = if full() { 600 } else { 40 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(generated in prop::collection::vec((changes(), any::<u64>()), 2..5))| {
        let (mut layers, dir) = (Vec::new(), place());
        for (changes, order) in &generated {
            let below = facts::read(dir.path(), &[]);
            let below = below.iter().filter(|(_, fact)| fact.kind == 'd');
            let items = layer(changes, &below.map(|(path, _)| path.to_str().unwrap().to_owned()).collect(), *order);
            apply(&items, dir.path());
            layers.push(items);
        }
        assert_layers(&layers, Way::File);
    });
}
