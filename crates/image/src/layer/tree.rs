//! The layer's tree in memory: names, metadata, where file data lies. Knows OCI whiteouts and what replaces what.
//!
//! A whiteout hides lower layers only, so a real entry of the same name in the same layer wins whatever their order; a
//! directory that stands beside its own whiteout is opaque. What replaces something of its own layer hides lower layers
//! as well.

use super::{
    LayerError, Limits,
    node::{Ino, Inode, Node, ROOT},
    tar,
};

/// The whole tree. Inodes that nothing names any more stay in `inodes` with `links == 0`.
pub(super) struct Tree<'a> {
    pub(super) inodes: Vec<Inode>,
    limits: &'a Limits,
    metadata: usize,
    entries: u64,
}

impl<'a> Tree<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        let mut root = Inode::implied();
        root.links = 1;
        Self { inodes: vec![root], limits, metadata: 0, entries: 0 }
    }

    /// Inodes that something names, the root first.
    pub(super) fn live(&self) -> impl Iterator<Item = (Ino, &Inode)> {
        (ROOT..).zip(&self.inodes).filter(|(_, inode)| inode.links > 0)
    }

    /// Entries that were put in.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Splits an entry's path into its parts, refusing what could leave the tree.
    pub(super) fn parts<'p>(&self, path: &'p [u8]) -> Result<Vec<&'p [u8]>, LayerError> {
        let refuse = |why| LayerError::entry(path, why);
        if path.len() > self.limits.max_path {
            return Err(refuse("its path is too long"));
        }
        let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        if parts.iter().any(|part| *part == b"..") {
            return Err(refuse("its path has `..`"));
        }
        if parts.iter().any(|part| part.len() > 255 || part.contains(&0)) {
            return Err(refuse("a part of its path is longer than 255 bytes or has a NUL"));
        }
        if parts.len() > self.limits.max_depth {
            return Err(LayerError::Limit { what: "parts of a path", limit: self.limits.max_depth as u64 });
        }
        Ok(parts)
    }

    /// Puts one entry into the tree. `inode` is none for hard links.
    pub(super) fn insert(&mut self, entry: &tar::Entry, inode: Option<Inode>) -> Result<(), LayerError> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(LayerError::Limit { what: "entries", limit: self.limits.max_entries });
        }
        let parts = self.parts(&entry.path)?;
        let Some((name, parents)) = parts.split_last() else {
            return match inode {
                Some(inode) if matches!(inode.node, Node::Directory { .. }) => {
                    self.renew_directory(ROOT, inode);
                    Ok(())
                }
                _ => Err(LayerError::entry(&entry.path, "the root is not a directory")),
            };
        };
        if parents.iter().any(|part| part.starts_with(b".wh.")) {
            return Err(LayerError::entry(&entry.path, "its parent is a whiteout"));
        }
        let parent = self.directory(&entry.path, parents)?;
        match name.strip_prefix(b".wh.") {
            Some(b".wh..opq") => self.make_opaque(parent),
            // Other names of this form are bookkeeping of an old union file system.
            Some(hidden) if hidden.starts_with(b".wh.") => {}
            Some(b"" | b"." | b"..") => return Err(LayerError::entry(&entry.path, "it is a whiteout of nothing")),
            Some(hidden) => self.white_out(parent, hidden)?,
            None => match inode {
                Some(inode) => self.put(parent, name, inode)?,
                None => self.link(entry, parent, name)?,
            },
        }
        Ok(())
    }

    /// The directory at `parents`, made where it is missing.
    fn directory(&mut self, path: &[u8], parents: &[&[u8]]) -> Result<Ino, LayerError> {
        let mut at = ROOT;
        for part in parents {
            at = match self.child(at, part) {
                Some(ino) => match self.inodes[ino as usize].node {
                    Node::Directory { .. } => ino,
                    Node::Whiteout => self.put_new(at, part, Inode::implied())?,
                    _ => return Err(LayerError::entry(path, "its parent is not a directory in this layer")),
                },
                None => self.put_new(at, part, Inode::implied())?,
            };
        }
        Ok(at)
    }

    fn child(&self, parent: Ino, name: &[u8]) -> Option<Ino> {
        match &self.inodes[parent as usize].node {
            Node::Directory { children, .. } => children.get(name).copied(),
            _ => None,
        }
    }

    fn put(&mut self, parent: Ino, name: &[u8], inode: Inode) -> Result<(), LayerError> {
        let is_directory = matches!(inode.node, Node::Directory { .. });
        match self.child(parent, name) {
            Some(old) if is_directory && matches!(self.inodes[old as usize].node, Node::Directory { .. }) => {
                self.renew_directory(old, inode);
                Ok(())
            }
            _ => self.put_new(parent, name, inode).map(|_| ()),
        }
    }

    /// A new inode under this name; what stood there is unlinked. A directory in the place of something else is opaque:
    /// a whiteout or a file before it has removed what lower layers have there.
    fn put_new(&mut self, parent: Ino, name: &[u8], mut inode: Inode) -> Result<Ino, LayerError> {
        let in_place = self.child(parent, name).is_some();
        if let Node::Directory { parent: own_parent, opaque, .. } = &mut inode.node {
            *own_parent = parent;
            *opaque |= in_place;
        }
        self.account(&inode)?;
        let ino = Ino::try_from(self.inodes.len()).expect("entries are limited far below four thousand million");
        self.inodes.push(inode);
        self.name(parent, name, ino)?;
        Ok(ino)
    }

    fn name(&mut self, parent: Ino, name: &[u8], ino: Ino) -> Result<(), LayerError> {
        self.take_metadata(name.len() + 32)?;
        self.inodes[ino as usize].links += 1;
        let Node::Directory { children, .. } = &mut self.inodes[parent as usize].node else {
            unreachable!("names are only put into directories");
        };
        if let Some(old) = children.insert(name.into(), ino) {
            self.unlink(old);
        }
        Ok(())
    }

    fn unlink(&mut self, ino: Ino) {
        let mut gone = vec![ino];
        while let Some(ino) = gone.pop() {
            let inode = &mut self.inodes[ino as usize];
            inode.links -= 1;
            if inode.links == 0 {
                // Frees what it holds: a directory's names, a file's short content.
                if let Node::Directory { children, .. } = std::mem::replace(&mut inode.node, Node::Whiteout) {
                    gone.extend(children.into_values());
                }
            }
        }
    }

    /// A directory that is there again: new metadata, same children.
    fn renew_directory(&mut self, ino: Ino, new: Inode) {
        let old = &mut self.inodes[ino as usize];
        let node = std::mem::replace(&mut old.node, Node::Fifo);
        let links = old.links;
        *old = Inode { node, links, ..new };
    }

    fn make_opaque(&mut self, ino: Ino) {
        if let Node::Directory { opaque, .. } = &mut self.inodes[ino as usize].node {
            *opaque = true;
        }
    }

    fn white_out(&mut self, parent: Ino, name: &[u8]) -> Result<(), LayerError> {
        match self.child(parent, name) {
            Some(real) => {
                self.make_opaque(real);
                Ok(())
            }
            None => self.put_new(parent, name, Inode::new(Node::Whiteout, 0)).map(|_| ()),
        }
    }

    fn link(&mut self, entry: &tar::Entry, parent: Ino, name: &[u8]) -> Result<(), LayerError> {
        let missing = || LayerError::entry(&entry.path, "it is a hard link to something that this layer does not have");
        let target = self
            .parts(&entry.link)?
            .into_iter()
            .try_fold(ROOT, |at, part| self.child(at, part))
            .filter(|ino| *ino != ROOT)
            .ok_or_else(missing)?;
        match self.inodes[target as usize].node {
            Node::Directory { .. } => Err(LayerError::entry(&entry.path, "it is a hard link to a directory")),
            Node::Whiteout => Err(missing()),
            _ if self.child(parent, name) == Some(target) => Ok(()),
            _ => self.name(parent, name, target),
        }
    }

    /// Takes out whiteouts that have nothing to hide: below an opaque directory no lower layer is seen, and overlayfs
    /// would list them.
    pub(super) fn drop_idle_whiteouts(&mut self) {
        let mut open = vec![(ROOT, false)];
        while let Some((ino, hidden)) = open.pop() {
            let Node::Directory { children, opaque, .. } = &self.inodes[ino as usize].node else { continue };
            let hidden = hidden || *opaque;
            open.extend(children.values().map(|child| (*child, hidden)));
            if hidden {
                self.drop_whiteouts_in(ino);
            }
        }
    }

    fn drop_whiteouts_in(&mut self, ino: Ino) {
        let node = std::mem::replace(&mut self.inodes[ino as usize].node, Node::Fifo);
        let Node::Directory { parent, mut children, opaque } = node else { unreachable!("the caller looked") };
        children.retain(|_, child| {
            let inode = &mut self.inodes[*child as usize];
            let idle = matches!(inode.node, Node::Whiteout);
            inode.links -= u32::from(idle);
            !idle
        });
        self.inodes[ino as usize].node = Node::Directory { parent, children, opaque };
    }

    fn account(&mut self, inode: &Inode) -> Result<(), LayerError> {
        let own = match &inode.node {
            Node::Symlink(target) => target.len(),
            Node::File { inline: Some(data), .. } => data.len(),
            _ => 0,
        };
        let xattrs: usize = inode.xattrs.iter().map(|x| 48 + x.name.len() + x.value.len()).sum();
        self.take_metadata(own + xattrs)
    }

    fn take_metadata(&mut self, bytes: usize) -> Result<(), LayerError> {
        self.metadata += bytes;
        if self.metadata > self.limits.max_metadata {
            return Err(LayerError::Limit {
                what: "bytes of names and attributes",
                limit: self.limits.max_metadata as u64,
            });
        }
        Ok(())
    }
}
