//! One layer's way: download → hash → decompress → EROFS → checks → store, in one pass and with bounded memory.
//!
//! What must stay true: nothing is stored before the blob's size and digest and the content's digest are what manifest
//! and config say. A layer that is already here serves another image only after its registry has shown that it has it.

use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::{
    error::ImageError,
    image::{Digest, LayerProgress, Progress},
    layer::{self, Converted, LayerError, Limits},
    manifest::LayerBlob,
    registry::{Access, pause},
    remote_text::{Hidden, RemoteText},
    store::{Source, Store},
};

/// Pieces of a download that wait for the converter; each is at most some hundred KiB.
const WAITING: usize = 8;
/// Largest piece that waits.
const PIECE: usize = 64 * 1024;
const TRIES: u32 = 3;
/// A download may take this long, and a second more for each 16 KiB.
const PATIENCE: Duration = Duration::from_secs(300);
const SLOWEST: u64 = 16 * 1024;

/// Fetches layers into a store.
pub(crate) struct Puller {
    pub store: Arc<Store>,
    pub limits: Limits,
    pub disk_budget: Option<u64>,
    /// How many layers are converted at once, over all fetches.
    pub slots: tokio::sync::Semaphore,
}

impl Puller {
    /// Makes one layer present. The caller pins it. Others that want the same layer wait, and then look for themselves.
    pub async fn layer(
        &self,
        access: &Access<'_>,
        blob: &LayerBlob,
        diff_id: &Digest,
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        let pin = self.store.pin(diff_id);
        let _turn = pin.turn().await;
        let source = Source { registry: access.reference().registry().clone(), blob: blob.digest.clone() };
        if self.store.has(diff_id) && self.store.sources(diff_id).contains(&source) {
            // The same registry gave it before; whether this credential may have it, it alone can say.
            access.blob_is_open(&blob.digest).await?;
        } else {
            let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
            self.download(access, blob, diff_id, source, progress).await?;
        }
        progress.layer(LayerProgress { blob: blob.digest.clone(), done: blob.size, total: blob.size });
        Ok(())
    }

    async fn download(
        &self,
        access: &Access<'_>,
        blob: &LayerBlob,
        diff_id: &Digest,
        source: Source,
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        let limits = self.limits_now(blob)?;
        let job = Job { store: Arc::clone(&self.store), blob: blob.clone(), diff_id: diff_id.clone(), source, limits };
        self.download_once(access, job, progress).await
    }

    async fn download_once(&self, access: &Access<'_>, job: Job, progress: &dyn Progress) -> Result<(), ImageError> {
        let blob = &job.blob.clone();
        let (sender, receiver) = mpsc::channel(WAITING);
        let job = tokio::task::spawn_blocking(move || job.run(receiver));
        let patience = PATIENCE + Duration::from_secs(blob.size / SLOWEST);
        let fed = tokio::time::timeout(patience, feed(access, blob, sender, progress)).await;
        let stored =
            job.await.map_err(|error| ImageError::io("the layer's converter ended")(io::Error::other(error)))?;
        match fed {
            Ok(Ok(())) => stored.map_err(|failure| self.named(failure, &blob.digest, access)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ImageError::Unreachable {
                host: RemoteText::new(access.reference().registry().as_str(), Hidden::default()),
                why: "it sends a layer too slowly",
            }),
        }
    }

    /// The limits of one layer, which may not take more than is left of the disk budget.
    fn limits_now(&self, blob: &LayerBlob) -> Result<Limits, ImageError> {
        let mut limits = self.limits.clone();
        if let Some(budget) = self.disk_budget {
            let left = budget.saturating_sub(self.store.used_bytes()?);
            if blob.size > left {
                return Err(ImageError::DiskBudget { needed: blob.size - left, budget });
            }
            limits.max_bytes = limits.max_bytes.min(left);
        }
        Ok(limits)
    }

    /// A converter's failure in a person's words. When the disk budget made the limit smaller, the budget is the reason.
    fn named(&self, failure: Failure, blob: &Digest, access: &Access<'_>) -> ImageError {
        match (failure, self.disk_budget) {
            (Failure::Image(error), _) => error,
            (Failure::Layer(LayerError::Limit { limit, .. }), Some(budget))
                if limit < self.limits.max_bytes && limit <= budget =>
            {
                ImageError::DiskBudget { needed: 1, budget }
            }
            (Failure::Layer(LayerError::Io { what, source }), _) => ImageError::Io { what, source },
            (Failure::Layer(source), _) => ImageError::Layer {
                blob: blob.clone(),
                why: RemoteText::sentence(&source.to_string(), access.credential()),
            },
        }
    }
}

/// How a conversion ends when it does not succeed.
enum Failure {
    Layer(LayerError),
    Image(ImageError),
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

/// A piece of a download, or its regular end. A channel that closes without an end is a download that broke.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Hands the blob to the converter piece by piece. A download that breaks goes on where it broke, as often as it gets
/// further; the digest over all of it tells whether the parts belong together. `Ok` also when the converter gave up: its
/// error is the one to tell.
async fn feed(
    access: &Access<'_>,
    blob: &LayerBlob,
    sender: mpsc::Sender<Piece>,
    progress: &dyn Progress,
) -> Result<(), ImageError> {
    let (mut done, mut tried) = (0, 0);
    loop {
        let before = done;
        match feed_from(access, blob, &sender, progress, &mut done).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tried = if done > before { 1 } else { tried + 1 };
                let pause = pause(&error, tried).or_else(|| stalled(&error, done > before));
                match pause.filter(|_| tried < TRIES) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                }
            }
        }
    }
}

/// A sender that fell silent in the middle is asked once more at once: it had long enough.
fn stalled(error: &ImageError, got_further: bool) -> Option<Duration> {
    (got_further && matches!(error, ImageError::Unreachable { .. })).then_some(Duration::ZERO)
}

async fn feed_from(
    access: &Access<'_>,
    blob: &LayerBlob,
    sender: &mpsc::Sender<Piece>,
    progress: &dyn Progress,
    done: &mut u64,
) -> Result<(), ImageError> {
    let wrong_size = || ImageError::SizeMismatch { what: "layer", digest: blob.digest.clone(), expected: blob.size };
    let (mut reply, mut at) = access.blob(&blob.digest, *done).await?;
    if reply.response.content_length().is_some_and(|length| at + length != blob.size) {
        return Err(wrong_size());
    }
    while let Some(mut chunk) = reply.chunk().await? {
        let begins = at;
        at += chunk.len() as u64;
        if at > blob.size {
            return Err(wrong_size());
        }
        // What the converter has already, from a sender that knows no ranges.
        let known = usize::try_from(done.saturating_sub(begins)).unwrap_or(usize::MAX).min(chunk.len());
        let _ = chunk.split_to(known);
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(PIECE));
            if sender.send(Piece::Bytes(piece)).await.is_err() {
                return Ok(());
            }
        }
        *done = at.max(*done);
        progress.layer(LayerProgress { blob: blob.digest.clone(), done: *done, total: blob.size });
    }
    if *done != blob.size {
        return Err(wrong_size());
    }
    // Refused only when the converter gave up.
    let _ = sender.send(Piece::End).await;
    Ok(())
}

/// What the converter's thread needs.
#[derive(Clone)]
struct Job {
    store: Arc<Store>,
    blob: LayerBlob,
    diff_id: Digest,
    source: Source,
    limits: Limits,
}

impl Job {
    fn run(self, receiver: mpsc::Receiver<Piece>) -> Result<(), Failure> {
        let file = self.store.temporary()?;
        let mut reader = BlobReader { receiver, rest: Bytes::new(), hash: Sha256::new(), ended: false };
        let outcome = layer::convert(&mut reader, self.blob.compression, file.as_file(), &self.limits);
        let other_bytes = || ImageError::DigestMismatch { what: "layer", expected: self.blob.digest.clone() };
        let converted = match outcome {
            Ok(converted) => converted,
            Err(source) => {
                // Damaged on the way, or made so? The digest tells, once the rest has been read.
                let whole = is_damage(&source) && io::copy(&mut reader, &mut io::sink()).is_ok();
                if whole && reader.digest() != self.blob.digest {
                    return Err(other_bytes().into());
                }
                return Err(Failure::Layer(source));
            }
        };
        io::copy(&mut reader, &mut io::sink()).map_err(ImageError::io("the download broke off"))?;
        if reader.digest() != self.blob.digest {
            return Err(other_bytes().into());
        }
        Ok(self.check_and_store(converted, file)?)
    }

    fn check_and_store(&self, converted: Converted, file: tempfile::NamedTempFile) -> Result<(), ImageError> {
        if converted.diff_id != self.diff_id {
            return Err(ImageError::DigestMismatch { what: "layer content", expected: self.diff_id.clone() });
        }
        tracing::debug!(
            diff_id = %self.diff_id,
            blob_bytes = self.blob.size,
            tar_bytes = converted.uncompressed_bytes,
            image_bytes = converted.image_bytes,
            entries = converted.entries,
            "layer converted"
        );
        if !self.store.has(&self.diff_id) {
            self.store.commit(file, &self.diff_id)?;
        }
        self.store.add_source(&self.diff_id, self.source.clone())
    }
}

/// Errors that other bytes than the named ones explain.
const fn is_damage(error: &LayerError) -> bool {
    !matches!(error, LayerError::Limit { .. } | LayerError::Io { .. })
}

/// The download as a blocking reader that hashes what passes.
struct BlobReader {
    receiver: mpsc::Receiver<Piece>,
    rest: Bytes,
    hash: Sha256,
    ended: bool,
}

impl BlobReader {
    fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.receiver.blocking_recv() {
                Some(Piece::Bytes(bytes)) => {
                    self.hash.update(&bytes);
                    self.rest = bytes;
                }
                Some(Piece::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(buffer.len()));
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}
