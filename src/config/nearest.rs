//! The known word nearest to a misspelt one, for "did you mean".

/// The nearest of `known`, if it is near enough to be meant: about one slip in three letters.
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

/// Letters to insert, remove, replace or swap with their neighbour to make `b` of `a` (optimal
/// string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, letter) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, j) + usize::from(letter != *other);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = j > 0 && previous_a == Some(*other) && b.get(j - 1) == Some(&letter);
            if swapped {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
        previous_a = Some(letter);
    }
    last.last().copied().unwrap_or_default()
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
