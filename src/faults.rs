//! Collects all faults, so that an operator can mend them in one go. Must not know the kinds of faults.

use std::fmt;

/// Faults of one kind, in the order in which they were found.
#[derive(Debug)]
pub struct Faults<E>(Vec<E>);

impl<E> Default for Faults<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> Faults<E> {
    /// Takes the value of a result; its fault is added to the others.
    pub fn keep<T>(&mut self, result: Result<T, impl Into<E>>) -> Option<T> {
        result.map_err(|fault| self.0.push(fault.into())).ok()
    }

    /// The same for a result with several faults.
    pub fn keep_all<T, F: Into<E>>(&mut self, result: Result<T, Faults<F>>) -> Option<T> {
        let add = |faults: Faults<F>| self.0.extend(faults.0.into_iter().map(Into::into));
        result.map_err(add).ok()
    }

    /// The values of all results, or all of their faults.
    ///
    /// # Errors
    /// The faults, in order.
    pub fn gather<T>(results: impl IntoIterator<Item = Result<T, E>>) -> Result<Vec<T>, Self> {
        let mut faults = Self::default();
        let values: Vec<T> = results
            .into_iter()
            .filter_map(|result| faults.keep(result))
            .collect();
        faults.or(values)
    }

    /// The value if there is no fault.
    ///
    /// # Errors
    /// The faults, in order.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// True if nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.0.iter()
    }

    /// The first one.
    #[must_use]
    pub fn into_first(self) -> Option<E> {
        self.0.into_iter().next()
    }
}

/// Limit on the faults that are shown at a time: a file that is wrong on each of its lines makes no megabytes of text,
/// and nobody reads more before mending some.
const MOST_SHOWN: usize = 100;

/// The faults as text, a line for each; of many the first ones, and the number of the others.
#[must_use]
pub(crate) fn lines<E: fmt::Display>(faults: &[E]) -> String {
    let shown = faults.iter().take(MOST_SHOWN).map(ToString::to_string);
    let mut lines: Vec<_> = shown.collect();
    let more = faults.len() - lines.len();
    if more > 0 {
        lines.push(format!(
            "{more} more are wrong; mend these first, then the next are shown"
        ));
    }
    lines.join("\n")
}

/// A line for each.
impl<E: fmt::Display> fmt::Display for Faults<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lines(&self.0))
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Faults<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_found_and_one_is_enough_to_have_no_value() {
        let results = |wrong: &[u8]| {
            Faults::gather((1..=3).map(|one| {
                if wrong.contains(&one) {
                    Err(format!("{one} is wrong"))
                } else {
                    Ok(one)
                }
            }))
        };
        assert_eq!(results(&[]).expect("no fault"), [1, 2, 3]);
        let faults = results(&[1, 3]).expect_err("two faults");
        assert_eq!(faults.to_string(), "1 is wrong\n3 is wrong");
        assert_eq!(faults.into_first().expect("a fault"), "1 is wrong");
    }

    #[test]
    fn of_very_many_faults_the_first_are_shown_and_the_others_counted() {
        let faults: Vec<_> = (1..=MOST_SHOWN + 7).collect();
        let shown = lines(&faults);
        assert_eq!(shown.lines().count(), MOST_SHOWN + 1);
        assert_eq!(
            shown.lines().last().expect("a line"),
            "7 more are wrong; mend these first, then the next are shown"
        );
        assert!(!lines(&faults[..MOST_SHOWN]).contains("more"));
    }
}
