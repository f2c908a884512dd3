//! The tar reader: v7, ustar (POSIX.1-2017), GNU long names, base-256 numbers, GNU and PAX sparse files, PAX headers.
//!
//! Strict: a header whose checksum does not fit is malformed. A size in a PAX header wins over the one in the ustar
//! header everywhere, so that both can never disagree about where the next header is.

use std::io::Read;

use super::{
    LayerError, Limits,
    diff::DiffReader,
    pax::{self, Extended},
    sparse::SparseMap,
};

pub(super) const BLOCK: usize = 512;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    Character { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Directory,
    Fifo,
}

/// One entry, its data still to be read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) link: Vec<u8>,
    pub(super) mode: u16,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: (i64, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Stored bytes that follow, without padding.
    pub(super) stored: u64,
    pub(super) sparse: Option<SparseMap>,
}

/// Reads entries one after the other.
pub(super) struct TarReader<'a, R: Read> {
    pub(super) diff: DiffReader<R>,
    limits: &'a Limits,
    global: Extended,
}

impl<'a, R: Read> TarReader<'a, R> {
    pub(super) fn new(diff: DiffReader<R>, limits: &'a Limits) -> Self {
        Self { diff, limits, global: Extended::default() }
    }

    /// The next entry. The caller reads its stored bytes and [`padding`] before it asks again.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, LayerError> {
        let mut extended = self.global.clone();
        loop {
            let mut header = [0; BLOCK];
            if !self.header(&mut header)? {
                return Ok(None);
            }
            let size = self.number(&header[124..136])?;
            match header[156] {
                b'x' => {
                    let body = self.body(size)?;
                    pax::read(&body, &mut extended, self.limits).map_err(|why| self.diff.malformed(why))?;
                }
                b'g' => {
                    let body = self.body(size)?;
                    pax::read(&body, &mut self.global, self.limits).map_err(|why| self.diff.malformed(why))?;
                    if !self.global.may_be_global() {
                        return Err(self.diff.malformed("a global header says what only an entry's own may say"));
                    }
                    extended = self.global.clone();
                }
                b'L' => extended.path = Some(until_nul(&self.body(size)?).to_vec()),
                b'K' => extended.link = Some(until_nul(&self.body(size)?).to_vec()),
                _ => return self.entry(&header, size, extended).map(Some),
            }
        }
    }

    /// Reads a header block; false at the archive's end (a block of zeros, or no more bytes).
    fn header(&mut self, header: &mut [u8; BLOCK]) -> Result<bool, LayerError> {
        match self.diff.read(&mut header[..1])? {
            0 => return Ok(false),
            _ => self.diff.read_exact(&mut header[1..])?,
        }
        if header.iter().all(|b| *b == 0) {
            return Ok(false);
        }
        let stated = self.number(&header[148..156])?;
        let sum: u64 =
            header.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 32 } else { u64::from(*b) }).sum();
        if stated != sum {
            return Err(self.diff.malformed("a header's checksum does not fit"));
        }
        Ok(true)
    }

    /// The body of an extended header, bounded.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, LayerError> {
        let length = usize::try_from(size)
            .ok()
            .filter(|n| *n <= self.limits.max_header)
            .ok_or(LayerError::Limit { what: "bytes in an extended header", limit: self.limits.max_header as u64 })?;
        let mut body = vec![0; length];
        self.diff.read_exact(&mut body)?;
        let mut pad = [0; BLOCK];
        self.diff.read_exact(&mut pad[..padding(size)])?;
        Ok(body)
    }

    fn entry(&mut self, header: &[u8; BLOCK], size: u64, extended: Extended) -> Result<Entry, LayerError> {
        let malformed = |why| LayerError::Tar { offset: self.diff.offset(), why };
        let kind = match header[156] {
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character { major: self.small(&header[329..337])?, minor: self.small(&header[337..345])? },
            b'4' => Kind::BlockDevice { major: self.small(&header[329..337])?, minor: self.small(&header[337..345])? },
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(malformed("an entry has a type that layers do not have")),
        };
        let mut stored = extended.size.unwrap_or(size);
        // Links, directories and devices have no data, whatever their size says (GNU tar agrees).
        let has_data = kind == Kind::File;
        if !has_data {
            if stored != 0 && kind != Kind::Directory && kind != Kind::HardLink {
                return Err(malformed("an entry without data has a size"));
            }
            stored = 0;
        }
        let own_path = extended.sparse.name.as_ref().filter(|_| extended.sparse.is_set()).or(extended.path.as_ref());
        let path = own_path.cloned().unwrap_or_else(|| ustar_path(header));
        let kind = match kind {
            // v7 archives mark directories by a slash at the end.
            Kind::File if path.ends_with(b"/") && !extended.sparse.is_set() => Kind::Directory,
            kind => kind,
        };
        let sparse = match header[156] {
            b'S' => Some(self.old_gnu_map(header, stored)?),
            _ if has_data && extended.sparse.is_set() => Some(self.pax_map(&extended, &mut stored)?),
            _ => None,
        };
        Ok(Entry {
            path,
            kind,
            link: extended.link.unwrap_or_else(|| until_nul(&header[157..257]).to_vec()),
            mode: u16::try_from(self.number(&header[100..108])? & 0o7777).expect("twelve bits fit"),
            uid: extended.uid.map_or_else(|| self.number(&header[108..116]), Ok)?,
            gid: extended.gid.map_or_else(|| self.number(&header[116..124]), Ok)?,
            mtime: extended.mtime.map_or_else(|| self.time(&header[136..148]), Ok)?,
            xattrs: extended.xattrs,
            stored,
            sparse,
        })
    }

    /// Old GNU format: a map in the header, continued in blocks behind it.
    fn old_gnu_map(&mut self, header: &[u8; BLOCK], stored: u64) -> Result<SparseMap, LayerError> {
        let real_size = self.number(&header[483..495])?;
        let mut numbers = Vec::new();
        self.old_gnu_parts(&header[386..482], &mut numbers)?;
        let mut more = header[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            self.diff.read_exact(&mut block)?;
            self.old_gnu_parts(&block[..504], &mut numbers)?;
            more = block[504] != 0;
            if numbers.len() > 1 << 18 {
                return Err(self.diff.malformed("a sparse file has too many parts"));
            }
        }
        SparseMap::pairs(&numbers)
            .and_then(|parts| SparseMap::new(parts, real_size, stored))
            .map_err(|why| self.diff.malformed(why))
    }

    fn old_gnu_parts(&self, bytes: &[u8], numbers: &mut Vec<u64>) -> Result<(), LayerError> {
        for part in bytes.as_chunks::<24>().0 {
            if part[0] == 0 {
                break;
            }
            numbers.push(self.number(&part[..12])?);
            numbers.push(self.number(&part[12..])?);
        }
        Ok(())
    }

    /// PAX formats 0.0 and 0.1 have the map in the header, 1.0 at the head of the data.
    fn pax_map(&mut self, extended: &Extended, stored: &mut u64) -> Result<SparseMap, LayerError> {
        let real_size = extended.sparse.real_size.ok_or_else(|| self.diff.malformed("a sparse file has no size"))?;
        let numbers = match (&extended.sparse.map, extended.sparse.major) {
            (Some(map), _) => map.clone(),
            (None, Some(1)) => self.map_in_data(stored)?,
            _ => return Err(self.diff.malformed("a sparse file has no map")),
        };
        SparseMap::pairs(&numbers)
            .and_then(|parts| SparseMap::new(parts, real_size, *stored))
            .map_err(|why| self.diff.malformed(why))
    }

    fn map_in_data(&mut self, stored: &mut u64) -> Result<Vec<u64>, LayerError> {
        let mut numbers = Vec::new();
        let mut digits = Vec::new();
        let mut wanted = None;
        while wanted.is_none_or(|n| numbers.len() < n) {
            let mut block = [0; BLOCK];
            *stored =
                stored.checked_sub(BLOCK as u64).ok_or_else(|| self.diff.malformed("a sparse map does not end"))?;
            self.diff.read_exact(&mut block)?;
            for byte in block {
                if wanted.is_some_and(|n| numbers.len() == n) {
                    break;
                }
                if byte != b'\n' {
                    digits.push(byte);
                    continue;
                }
                let number = pax::decimal(&digits).map_err(|why| self.diff.malformed(why))?;
                digits.clear();
                match wanted {
                    None if number <= 1 << 16 => wanted = usize::try_from(number * 2).ok(),
                    None => return Err(self.diff.malformed("a sparse file has too many parts")),
                    Some(_) => numbers.push(number),
                }
            }
        }
        Ok(numbers)
    }

    fn number(&self, field: &[u8]) -> Result<u64, LayerError> {
        match signed(field) {
            Some(n) => u64::try_from(n).map_err(|_| self.diff.malformed("a number in a header is negative")),
            None => Err(self.diff.malformed("a number in a header is not one")),
        }
    }

    fn small(&self, field: &[u8]) -> Result<u32, LayerError> {
        u32::try_from(self.number(field)?).map_err(|_| self.diff.malformed("a device number is too large"))
    }

    fn time(&self, field: &[u8]) -> Result<(i64, u32), LayerError> {
        signed(field).map(|seconds| (seconds, 0)).ok_or_else(|| self.diff.malformed("a time in a header is not one"))
    }
}

/// Bytes from the end of `size` bytes to the next block.
pub(super) const fn padding(size: u64) -> usize {
    ((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64) as usize
}

fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|b| *b == 0).unwrap_or(field.len())]
}

fn ustar_path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&header[..100]);
    // GNU headers ("ustar  ") use the prefix's place for other things.
    let prefix = if &header[257..263] == b"ustar\0" { until_nul(&header[345..500]) } else { b"" };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// Octal text, or base-256 with the first bit set (GNU), two's complement.
fn signed(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        let negative = field[0] & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 && !negative { byte & 0x7f } else { *byte };
            value = (value << 8) | i128::from(byte);
        }
        return i64::try_from(value).ok();
    }
    let text = until_nul(field).trim_ascii();
    if text.is_empty() {
        return Some(0);
    }
    text.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(signed(b"0000644\0"), Some(0o644));
        assert_eq!(signed(b"   644 \0"), Some(0o644));
        assert_eq!(signed(b"\0\0\0\0"), Some(0));
        assert_eq!(signed(b"\x80\0\0\0\0\0\0\0\x02\0\0\0"), Some(1 << 25));
        assert_eq!(signed(b"\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        assert_eq!(signed(b"12x"), None);
        assert_eq!(signed(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
