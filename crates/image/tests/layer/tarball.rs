//! Tars made byte by byte: every field as a test wants it, in three dialects.

/// How an entry says what does not fit into the oldest header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// POSIX.1-2001 extended headers for everything.
    Pax,
    /// Long names as entries of their own, large numbers in base 256.
    Gnu,
    /// A long path split into prefix and name; nothing else.
    Ustar,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Item {
    pub path: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: (i64, u32),
    pub link: Vec<u8>,
    pub data: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub dialect: Dialect,
}

impl Item {
    pub fn new(kind: u8, path: impl AsRef<[u8]>) -> Self {
        Self {
            path: path.as_ref().to_vec(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: (1_700_000_000, 0),
            link: Vec::new(),
            data: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            dialect: Dialect::Pax,
        }
    }

    pub fn file(path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        Self { data: data.as_ref().to_vec(), ..Self::new(b'0', path) }
    }

    pub fn dir(path: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', path)
    }

    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link: target.as_ref().to_vec(), mode: 0o777, ..Self::new(b'2', path) }
    }

    pub fn hardlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link: target.as_ref().to_vec(), ..Self::new(b'1', path) }
    }

    pub fn device(kind: u8, path: impl AsRef<[u8]>, device: (u32, u32)) -> Self {
        Self { device, ..Self::new(kind, path) }
    }

    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub fn owner(self, uid: u64, gid: u64) -> Self {
        Self { uid, gid, ..self }
    }

    pub fn mtime(self, seconds: i64, nanos: u32) -> Self {
        Self { mtime: (seconds, nanos), ..self }
    }

    pub fn xattr(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.xattrs.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The entry's own header block, its checksum right.
    pub fn header(&self) -> [u8; 512] {
        let mut header = [0; 512];
        let (prefix, name) = self.split_path();
        put(&mut header, 0, &name[..name.len().min(100)]);
        number(&mut header, 100..108, i64::from(self.mode));
        for (at, value) in [(108, self.uid), (116, self.gid)] {
            number(&mut header, at..at + 8, i64::try_from(value).unwrap());
        }
        number(&mut header, 124..136, i64::try_from(self.data.len()).unwrap());
        number(&mut header, 136..148, self.mtime.0);
        header[156] = self.kind;
        put(&mut header, 157, &self.link[..self.link.len().min(100)]);
        put(&mut header, 257, if self.dialect == Dialect::Gnu { b"ustar  \0" } else { b"ustar\x0000" });
        if matches!(self.kind, b'3' | b'4') {
            number(&mut header, 329..337, i64::from(self.device.0));
            number(&mut header, 337..345, i64::from(self.device.1));
        }
        put(&mut header, 345, prefix);
        sum(&mut header);
        header
    }

    fn split_path(&self) -> (&[u8], &[u8]) {
        if self.dialect != Dialect::Ustar || self.path.len() <= 100 {
            return (b"", &self.path);
        }
        let at =
            (0..self.path.len().min(155)).rev().find(|at| self.path[*at] == b'/').expect("a path that ustar can say");
        (&self.path[..at], &self.path[at + 1..])
    }

    /// What stands before the header.
    fn before(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let large = |n: u64| n >= 1 << 21;
        match self.dialect {
            Dialect::Ustar => {}
            Dialect::Gnu => {
                let mut bytes = Vec::new();
                for (kind, text) in [(b'K', &self.link), (b'L', &self.path)] {
                    if text.len() > 100 {
                        let data = [text, &b"\0"[..]].concat();
                        bytes.extend(Self { data, ..Self::new(kind, "././@LongLink") }.dialect(Dialect::Gnu).encode());
                    }
                }
                return bytes;
            }
            Dialect::Pax => {
                if self.path.len() > 100 || !self.path.is_ascii() {
                    record(&mut records, b"path", &self.path);
                }
                if self.link.len() > 100 || !self.link.is_ascii() {
                    record(&mut records, b"linkpath", &self.link);
                }
                for (name, id) in [(b"uid", self.uid), (b"gid", self.gid)] {
                    if large(id) {
                        record(&mut records, name, id.to_string().as_bytes());
                    }
                }
                if self.mtime.1 != 0 || self.mtime.0 < 0 {
                    record(&mut records, b"mtime", time(self.mtime).as_bytes());
                }
            }
        }
        for (name, value) in &self.xattrs {
            record(&mut records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        if records.is_empty() { records } else { extended(b'x', &records) }
    }

    /// The whole entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.before();
        bytes.extend(self.header());
        bytes.extend(&self.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// A whole archive.
pub fn tar<'i>(items: impl IntoIterator<Item = &'i Item>) -> Vec<u8> {
    let mut bytes: Vec<u8> = items.into_iter().flat_map(Item::encode).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// An extended header of these records.
pub fn extended(kind: u8, records: &[u8]) -> Vec<u8> {
    Item { data: records.to_vec(), ..Item::new(kind, "PaxHeaders/x") }.dialect(Dialect::Ustar).encode()
}

/// One record of an extended header.
pub fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend([length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat());
}

/// Makes a header's checksum right.
pub fn sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    put(header, 148, format!("{sum:06o}\0 ").as_bytes());
}

fn put(header: &mut [u8], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Octal, or base 256 when it is too large or negative.
fn number(header: &mut [u8], field: std::ops::Range<usize>, value: i64) {
    let digits = field.len() - 1;
    let field = &mut header[field];
    if value >= 0 && value < 1 << (3 * digits) {
        field.copy_from_slice(format!("{value:0digits$o}\0").as_bytes());
    } else {
        let bytes = i128::from(value).to_be_bytes();
        field.copy_from_slice(&bytes[bytes.len() - field.len()..]);
        field[0] |= 0x80;
    }
}

fn time((seconds, nanos): (i64, u32)) -> String {
    if seconds < 0 && nanos > 0 {
        format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos)
    } else {
        format!("{seconds}.{nanos:09}")
    }
}
