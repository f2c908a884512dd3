//! What must hold for everything of a stranger that this crate reads. `fuzz/` calls these functions with mutated bytes,
//! the tests below with the kept ones of `fuzz/corpus`. A function panics when its statement does not hold.

mod erofs;
mod layer;
mod registry;

pub use layer::layer;
pub use registry::{challenge, image_manifest, reference};

#[cfg(test)]
mod tests {
    /// The kept inputs of a target, of which there are some.
    fn replay(target: &str, body: fn(&[u8])) {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut inputs = 0;
        for file in std::fs::read_dir(dir).expect("the corpus is there") {
            body(&std::fs::read(file.expect("it is listed").path()).expect("it is a file"));
            inputs += 1;
        }
        assert!(inputs > 3, "the corpus of {target} is nearly empty");
    }

    #[test]
    fn layer() {
        replay("layer", super::layer);
    }

    #[test]
    fn image_manifest() {
        replay("image_manifest", super::image_manifest);
    }

    #[test]
    fn reference() {
        replay("reference", super::reference);
    }

    #[test]
    fn challenge() {
        replay("challenge", super::challenge);
    }
}
