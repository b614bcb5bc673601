//! The enclosing blocks of a location, from the nearest to the farthest: a directive of a nearer block replaces all
//! directives of the same name in farther ones. Must not know the meaning of a directive.

use super::syntax::Directive;

/// The enclosing blocks of a location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope<'a>(Vec<&'a [Directive]>);

impl<'a> Scope<'a> {
    /// Returns the scope inside an inner block.
    pub(super) fn inside(&self, block: &'a [Directive]) -> Self {
        let mut blocks = vec![block];
        blocks.extend(&self.0);
        Self(blocks)
    }

    /// Returns the part of this scope from the block of `server` outwards.
    pub(super) fn outwards_of(&self, server: &Self) -> Self {
        let first = server.0.first().map(|block| block.as_ptr());
        let mut blocks = self.0.iter().copied();
        let mut found = Vec::new();
        while let Some(block) = blocks.next() {
            if Some(block.as_ptr()) == first {
                found.push(block);
                found.extend(blocks);
                break;
            }
        }
        Self(found)
    }

    /// Returns the first directive of this name in the nearest block only.
    pub(super) fn own(&self, name: &str) -> Option<&'a Directive> {
        let block = self.0.first()?;
        block.iter().find(|one| one.name() == name)
    }

    /// Returns the first directive of this name in the nearest block that has any.
    pub(super) fn nearest(&self, name: &str) -> Option<&'a Directive> {
        self.nearest_all(name).first().copied()
    }

    /// Returns all directives of this name in the nearest block that has any.
    pub(super) fn nearest_all(&self, name: &str) -> Vec<&'a Directive> {
        let named = |block: &&'a [Directive]| -> Vec<_> {
            block.iter().filter(|one| one.name() == name).collect()
        };
        let mut found = self.0.iter().map(named);
        found.find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The blocks, from the nearest to the farthest.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &'a [Directive]> {
        self.0.iter().copied()
    }
}
