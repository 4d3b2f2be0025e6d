//! Compiles `proto/` to Rust with protox, so that no `protoc` is needed.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    // Asked when it runs, not when it is compiled: checkouts may share a target directory.
    let proto = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", proto.display());
    let files = protox::compile(["remote_write.proto", "remote_write_v2.proto", "remote_read.proto"], [&proto])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
