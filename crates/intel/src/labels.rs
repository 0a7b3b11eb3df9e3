//! Texts as numbers: each distinct text is kept once, and a dictionary column is built from the numbers that a batch
//! uses.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, NullBufferBuilder, StringArray};
use arrow::datatypes::Int32Type;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Texts kept before everything is forgotten: as many as there are cities and autonomous systems in the world.
const LABELS_MAX: usize = 400_000;

/// The number that stands for no text.
pub(crate) const NULL: u32 = 0;

/// Interned texts. Number 0 is none of them.
#[derive(Debug)]
pub(crate) struct Labels {
    ids: HashMap<Arc<str>, u32, FixedState>,
    texts: Vec<Arc<str>>,
}

impl Default for Labels {
    fn default() -> Self {
        Self { ids: HashMap::default(), texts: vec![Arc::from("")] }
    }
}

impl Labels {
    pub(crate) fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = self.texts.len() as u32;
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.ids.insert(text, id);
        id
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        &self.texts[id as usize]
    }

    pub(crate) fn is_full(&self) -> bool {
        self.texts.len() > LABELS_MAX
    }
}

/// A dictionary column in the making. Reused between batches.
#[derive(Debug, Default)]
pub(crate) struct LabelColumn {
    keys: Vec<i32>,
    nulls: Option<NullBufferBuilder>,
    used: Vec<u32>,
    /// For each label the batch in which it was last used and its key there.
    places: Vec<(u32, i32)>,
    batch: u32,
}

impl LabelColumn {
    pub(crate) fn begin(&mut self, rows: usize) {
        self.keys.clear();
        self.keys.reserve(rows);
        self.used.clear();
        self.nulls = Some(NullBufferBuilder::new(rows));
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.places.clear();
            self.batch = 1;
        }
    }

    pub(crate) fn push(&mut self, id: u32) {
        let Some(nulls) = &mut self.nulls else { return };
        if id == NULL {
            nulls.append_null();
            self.keys.push(0);
            return;
        }
        nulls.append_non_null();
        let at = id as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, (0, 0));
        }
        let place = &mut self.places[at];
        if place.0 != self.batch {
            *place = (self.batch, self.used.len() as i32);
            self.used.push(id);
        }
        self.keys.push(place.1);
    }

    /// Makes rows null that do not pass.
    pub(crate) fn keep_where(&mut self, keep: impl Fn(usize) -> bool) {
        let Some(nulls) = &mut self.nulls else { return };
        for row in (0..self.keys.len()).filter(|row| !keep(*row)) {
            nulls.set_bit(row, false);
        }
    }

    /// Appends nulls up to a row count.
    pub(crate) fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.keys.len());
        if let Some(nulls) = &mut self.nulls {
            nulls.append_n_nulls(missing);
        }
        self.keys.resize(rows.max(self.keys.len()), 0);
    }

    /// The column, or `None` if every row is null.
    pub(crate) fn finish(&mut self, labels: &Labels) -> Option<ArrayRef> {
        let nulls = self.nulls.take()?.finish();
        if self.used.is_empty() {
            return None;
        }
        let values = StringArray::from_iter_values(self.used.iter().map(|id| labels.text(*id)));
        let keys = Int32Array::new(std::mem::take(&mut self.keys).into(), nulls);
        // Every key was taken from the length of `used`, so it is within the values.
        let column = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values)).ok()?;
        Some(Arc::new(column))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    #[test]
    fn columns_hold_only_what_the_batch_uses() {
        let mut labels = Labels::default();
        let (nz, de) = (labels.id("NZ"), labels.id("DE"));
        assert_eq!((labels.id("NZ"), labels.text(de)), (nz, "DE"));
        let mut column = LabelColumn::default();
        for (ids, texts, distinct) in [
            (vec![de, NULL, nz, de], vec![Some("DE"), None, Some("NZ"), Some("DE")], 2),
            (vec![nz, nz], vec![Some("NZ"), Some("NZ"), None], 1),
        ] {
            column.begin(texts.len());
            for id in ids {
                column.push(id);
            }
            column.pad(texts.len());
            let array = column.finish(&labels).unwrap();
            let dictionary = array.as_dictionary::<Int32Type>();
            let found: Vec<Option<&str>> = dictionary.downcast_dict::<StringArray>().unwrap().into_iter().collect();
            assert_eq!((found, dictionary.values().len()), (texts, distinct));
        }
        column.begin(3);
        column.pad(3);
        assert!(column.finish(&labels).is_none());
    }
}
