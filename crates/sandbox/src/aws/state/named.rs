//! Things with a unique id and a name that may be used again after them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// What [`Named`] can hold.
pub(crate) trait HasName {
    fn id(&self) -> &str;
    fn name(&self) -> &str;
}

/// Entities by id, and by name (IAM's names differ by more than case).
///
/// A removed entity stays reachable by its id: sessions and stale principals still refer to it.
#[derive(Debug)]
pub(crate) struct Named<T> {
    by_id: HashMap<String, T>,
    ids: BTreeMap<String, String>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), ids: BTreeMap::new() }
    }
}

impl<T: HasName> Named<T> {
    pub(crate) fn insert(&mut self, entity: T) {
        let id = entity.id().to_owned();
        self.ids.insert(entity.name().to_ascii_lowercase(), id.clone());
        self.by_id.insert(id, entity);
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.ids.contains_key(&name.to_ascii_lowercase())
    }

    pub(crate) fn named(&self, name: &str) -> Option<&T> {
        self.by_id.get(self.ids.get(&name.to_ascii_lowercase())?)
    }

    pub(crate) fn named_mut(&mut self, name: &str) -> Option<&mut T> {
        self.by_id.get_mut(self.ids.get(&name.to_ascii_lowercase())?)
    }

    /// The entity of this id, present or removed.
    pub(crate) fn with_id(&self, id: &str) -> Option<&T> {
        self.by_id.get(id)
    }

    pub(crate) fn with_id_mut(&mut self, id: &str) -> Option<&mut T> {
        self.by_id.get_mut(id)
    }

    /// Whether the entity of this id still has its name.
    pub(crate) fn is_present(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|entity| {
            self.ids.get(&entity.name().to_ascii_lowercase()).is_some_and(|now| now == id)
        })
    }

    /// Gives up the name; the entity stays under its id.
    pub(crate) fn remove(&mut self, name: &str) -> Option<&mut T> {
        let id = self.ids.remove(&name.to_ascii_lowercase())?;
        self.by_id.get_mut(&id)
    }

    /// Moves an entity, whose own name the caller then changes, to another name.
    pub(crate) fn rename(&mut self, name: &str, to: &str) -> Option<&mut T> {
        let id = self.ids.remove(&name.to_ascii_lowercase())?;
        self.ids.insert(to.to_ascii_lowercase(), id.clone());
        self.by_id.get_mut(&id)
    }

    /// Changes every entity, present or removed; not its name.
    pub(crate) fn for_each_mut(&mut self, change: impl FnMut(&mut T)) {
        self.by_id.values_mut().for_each(change);
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Those present, in the order of their names, beginning after the name `after`.
    pub(crate) fn after<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let from =
            after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.to_ascii_lowercase()));
        self.ids.range((from, Bound::Unbounded)).filter_map(|(_, id)| self.by_id.get(id))
    }
}
