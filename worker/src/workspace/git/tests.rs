//! Git's own words.

use crate::workspace::tests::repository;

use super::*;

#[tokio::test]
async fn a_secret_across_the_cut_of_gits_words_leaves_no_part_of_it() {
    const SECRET: &str = "ghp_a_token_that_is_secret";
    let place = repository(&[("a.txt", "a")]);
    let mut config = place.config();
    config.github.token = Some(Secret::new(SECRET.to_owned()));
    let repository = Git::new(&place.repo(), &config);
    let mut told_whole = 0;
    for padding in SAID_MAX_BYTES - 80..SAID_MAX_BYTES {
        // A name that git does not know stands in its answer.
        let name = format!("{}{SECRET}", ".".repeat(padding));
        let error = repository.run(["cat-file", "-t", &name]).await.unwrap_err();
        let says = error.says();
        assert!(says.contains("Not a valid object name"), "{says}");
        assert!(!says.contains("ghp_"), "{padding}: {says}");
        told_whole += u32::from(says.ends_with("[redacted]"));
    }
    assert!((1..80).contains(&told_whole), "{told_whole}: the cut must go through the secret");
}
