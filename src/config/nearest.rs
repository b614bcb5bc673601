//! The known word nearest to a misspelt one, for "did you mean".

use strsim::osa_distance as distance;

/// Finds the nearest of `known`, if it is near enough to be a slip: about one wrong letter in three.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    let measured = known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate));
    measured
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_slips() {
        assert_eq!(distance("idle", "idle"), 0);
        assert_eq!(
            distance("idel", "idle"),
            1,
            "two neighbours swapped are one slip"
        );
        assert_eq!(distance("body_size", "body-size"), 1);
        assert_eq!(distance("", "idle"), 4);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_what_is_near_is_meant() {
        let known = ["idle", "heartbeat", "frame-size"];
        assert_eq!(nearest("idel", known), Some("idle"));
        assert_eq!(nearest("hartbeat", known), Some("heartbeat"));
        assert_eq!(nearest("framesize", known), Some("frame-size"));
        assert_eq!(nearest("timeout", known), None);
    }
}
