//! Tells the loader where the native libraries are: beside an installed binary, or in this checkout.

fn main() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    println!(
        "cargo:rustc-link-arg=-Wl,-rpath,{}",
        here.join("../../.native/lib").display()
    );
}
