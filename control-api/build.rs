//! Builds anew when a migration is added: `sqlx::migrate!` embeds the folder, and the compiler alone
//! would not see a new file in it.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
