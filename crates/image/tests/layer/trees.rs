//! Generated trees in every dialect of tar, compared with what GNU tar unpacks.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::{
    cases::full,
    peers::assert_as_gnu_tar,
    tarball::{Dialect, Item, tar},
};

/// A node before it is known where it goes.
#[derive(Clone, Debug)]
struct Node {
    /// Chooses among the directories that are there.
    parent: prop::sample::Index,
    name: Vec<u8>,
    kind: Kind,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
    xattrs: Vec<(String, Vec<u8>)>,
    dialect: Dialect,
}

#[derive(Clone, Debug)]
enum Kind {
    Dir,
    File(usize),
    Symlink(Vec<u8>),
    /// To one of the entries before.
    HardLink(prop::sample::Index),
    Fifo,
    Device(u8, u32, u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => b'a'..=b'z', 1 => 1..=255_u8].prop_filter("a slash", |b| *b != b'/');
    let length = prop_oneof![8 => 1..12_usize, 1 => 90..110_usize, 1 => 250..=255_usize];
    length
        .prop_flat_map(move |length| prop::collection::vec(byte.clone(), length))
        .prop_filter("not a name", |name| !matches!(&name[..], b"." | b"..") && !name.starts_with(b".wh."))
}

fn kind() -> impl Strategy<Value = Kind> {
    let size = prop_oneof![
        6 => 0..6000_usize,
        2 => prop::sample::select(vec![0, 1, 511, 512, 513, 2048, 2049, 4095, 4096, 4097, 8192]),
        1 => 10_000..300_000_usize,
    ];
    prop_oneof![
        4 => Just(Kind::Dir),
        8 => size.prop_map(Kind::File),
        2 => prop::collection::vec(1..=255_u8, 1..300).prop_map(Kind::Symlink),
        2 => any::<prop::sample::Index>().prop_map(Kind::HardLink),
        1 => Just(Kind::Fifo),
        1 => (b'3'..=b'4', 1..4096_u32, 0..(1_u32 << 20)).prop_map(|(kind, major, minor)| Kind::Device(kind, major, minor)),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let xattr = ("user\\.[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..200));
    let seconds = prop_oneof![6 => 0..2_000_000_000_i64, 1 => -2_000_000_000..10_000_000_000_i64];
    let nanos = prop_oneof![1 => Just(0), 3 => 0..1_000_000_000_u32];
    let id = prop_oneof![6 => 0..2000_u32, 1 => 0..u32::MAX];
    let dialect = prop_oneof![4 => Just(Dialect::Pax), 1 => Just(Dialect::Gnu), 1 => Just(Dialect::Ustar)];
    let xattrs = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(xattr, 0..4)];
    (any::<prop::sample::Index>(), name(), kind(), 0..=0o7777_u32, (id.clone(), id), (seconds, nanos), xattrs, dialect)
        .prop_map(|(parent, name, kind, mode, owner, mtime, xattrs, dialect)| Node {
            parent,
            name,
            kind,
            mode,
            owner,
            mtime,
            xattrs,
            dialect,
        })
}

/// Entries of a tar that says every directory before what is in it.
fn items(nodes: &[Node]) -> Vec<Item> {
    let (mut items, mut dirs, mut linkable) = (Vec::<Item>::new(), vec![Vec::new()], Vec::new());
    let mut taken = BTreeSet::new();
    for (at, node) in nodes.iter().enumerate() {
        let parent: &Vec<u8> = node.parent.get(&dirs);
        let path = if parent.is_empty() { node.name.clone() } else { [&parent[..], b"/", &node.name].concat() };
        if path.len() > 3000 || !taken.insert(path.clone()) {
            continue;
        }
        let item = match &node.kind {
            Kind::Dir => Item::dir(&path),
            Kind::File(size) => Item::file(&path, (0..*size).map(|byte| (byte * 31 + at) as u8).collect::<Vec<u8>>()),
            Kind::Symlink(target) => Item::symlink(&path, target),
            Kind::HardLink(_) if linkable.is_empty() => continue,
            Kind::HardLink(to) => Item::hardlink(&path, to.get(&linkable)),
            Kind::Fifo => Item::new(b'6', &path),
            Kind::Device(kind, major, minor) => Item::device(*kind, &path, (*major, *minor)),
        };
        match item.kind {
            b'5' => dirs.push(path),
            // GNU tar defers links that could lead outside, and what links to them.
            b'2' => {}
            _ => linkable.push(path),
        }
        items.push(dressed(item, node));
    }
    items
}

fn dressed(item: Item, node: &Node) -> Item {
    let short = item.path.len() <= 100 && item.link.len() <= 100;
    let dialect = if short { node.dialect } else { Dialect::Pax };
    let mode = if item.kind == b'2' { 0o777 } else { node.mode };
    let (uid, gid) = node.owner;
    let mut item = item.mode(mode).owner(uid.into(), gid.into()).dialect(dialect);
    item.mtime = if dialect == Dialect::Pax { node.mtime } else { (node.mtime.0, 0) };
    if matches!(item.kind, b'0' | b'5') && dialect == Dialect::Pax {
        item.xattrs = node.xattrs.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect();
    }
    item
}

#[test]
fn generated_trees_look_as_gnu_tar_unpacks_them() {
    let cases = if full() { 1000 } else { 60 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(nodes in prop::collection::vec(node(), 1..60))| {
        assert_as_gnu_tar(&tar(&items(&nodes)));
    });
}
