//! Copies all documents of one database into another, of the same kind or not: for a faculty that outgrew its one
//! machine.
//!
//! Each document is decoded as its own type and encoded again, because only the type knows which texts are times.
//! Afterwards both databases are compared: by the number of documents and by a checksum over them, as JSON ordered by
//! id.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::backend::BackendTx;
use super::error::Result;
use super::{Filter, Format, Query, Schema, Store, StoreError, json};

/// Documents that are copied at a time, in one transaction.
const BATCH: u32 = 200;

/// How long a page is retried, and the pause between tries: elections take some seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// The copy of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub collection: &'static str,
    /// The number of documents.
    pub documents: u64,
    /// SHA-256 over them, equal in both databases, in lower-case hexadecimal digits.
    pub checksum: String,
}

impl Store {
    /// The total number of documents in these collections.
    pub async fn documents(&self, schemas: &[Schema]) -> Result<u64> {
        let mut documents = 0;
        for schema in schemas {
            documents += self.backend.count(schema.collection, Filter::All).await?;
        }
        Ok(documents)
    }

    /// Copies everything into `target`, which must be empty, while no process serves from either database. `tell` is
    /// called after each page with the number of documents copied so far. Until everything is copied and compared, the
    /// target can't be prepared.
    ///
    /// Fails with [`StoreError::Unusable`] when this database is served, has another version or contains collections that
    /// the schemas don't name, when the target isn't empty, or when the two differ at the end.
    pub async fn copy_to(
        &self,
        target: &Self,
        schemas: &[Schema],
        tell: impl Fn(u64) + Send + Sync,
    ) -> Result<Vec<Copied>> {
        self.can_be_copied(schemas).await?;
        target.can_be_filled().await?;
        target.backend.set_unfinished(true).await?;
        target.backend.prepare(schemas).await?;
        let (mut all, mut done) = (Vec::new(), 0);
        for schema in schemas {
            let mut copied = Sum::default();
            let mut query = Some(first_batch());
            while let Some(asked) = query {
                let batch = self.read_batch(schema, asked, &mut copied).await?;
                target.write(schema, self.backend.format(), &batch.documents).await?;
                done += batch.documents.len() as u64;
                tell(done);
                query = batch.next;
            }
            all.push(copied.end(schema));
        }
        for (schema, copied) in schemas.iter().zip(&all) {
            if target.checked(schema).await? != *copied {
                return Err(differs(schema));
            }
        }
        if self.backend.is_served().await? {
            return Err(served());
        }
        target.backend.set_unfinished(false).await?;
        Ok(all)
    }

    async fn can_be_copied(&self, schemas: &[Schema]) -> Result<()> {
        if self.backend.is_unfinished().await? {
            return Err(unfinished());
        }
        if self.backend.is_served().await? {
            return Err(served());
        }
        let versions = self.backend.versions().await?;
        if versions.is_empty() {
            return Err(StoreError::Unusable("nothing to copy: no service has run on the source yet".into()));
        }
        let known: BTreeMap<_, _> =
            schemas.iter().map(|schema| (schema.collection, schema.version)).collect();
        for (collection, stored) in versions {
            if known.get(collection.as_str()) != Some(&stored) {
                return Err(StoreError::Unusable(format!(
                    "the source has `{collection}` in version {stored}, which this program doesn't write: start \
                     the service of this version on it once, or copy with the program that wrote it"
                )));
            }
        }
        Ok(())
    }

    async fn can_be_filled(&self) -> Result<()> {
        if self.backend.is_unfinished().await? {
            return Err(unfinished());
        }
        match self.backend.is_empty().await? {
            true => Ok(()),
            false => Err(StoreError::Unusable(
                "the target is not empty: name a database that holds nothing".into(),
            )),
        }
    }

    /// Reads a batch and adds it to the sum.
    async fn read_batch(&self, schema: &Schema, query: Query, sum: &mut Sum) -> Result<Batch> {
        let documents = self.backend.find(schema.collection, query).await?;
        let mut last = None;
        for document in &documents {
            last = Some(sum.add(document, self.backend.format())?);
        }
        let full = documents.len() == BATCH as usize;
        let next = last.filter(|_| full).map(|id| first_batch().after(vec![id.into()]));
        Ok(Batch { documents, next })
    }

    /// Adds documents that are in `format`. Waits for a server that is unreachable for a short time.
    async fn write(&self, schema: &Schema, format: Format, documents: &[Vec<u8>]) -> Result<()> {
        let rewritten = |document: &Vec<u8>| {
            let id = id_of(&json::value(document, format)?)?;
            Ok((id, (schema.rewrite)(document, format, self.backend.format())?))
        };
        let page = documents.iter().map(rewritten).collect::<Result<Vec<_>>>()?;
        let give_up = Instant::now() + PATIENCE;
        loop {
            let nothing_kept = match self.insert_all(schema.collection, page.clone()).await {
                Ok(tx) => match tx.commit().await {
                    Err(error @ StoreError::Conflict) => error,
                    ended => return ended,
                },
                Err(error @ (StoreError::Conflict | StoreError::Failed(_))) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() > give_up {
                return Err(nothing_kept);
            }
            sleep(PAUSE).await;
        }
    }

    async fn insert_all(
        &self,
        collection: &'static str,
        documents: Vec<(String, Vec<u8>)>,
    ) -> Result<Box<dyn BackendTx>> {
        let mut tx = self.backend.begin().await?;
        tx.insert_all(collection, documents).await?;
        Ok(tx)
    }

    async fn checked(&self, schema: &Schema) -> Result<Copied> {
        let mut sum = Sum::default();
        let mut query = Some(first_batch());
        while let Some(asked) = query {
            query = self.read_batch(schema, asked, &mut sum).await?.next;
        }
        Ok(sum.end(schema))
    }
}

struct Batch {
    documents: Vec<Vec<u8>>,
    /// The query of the next batch.
    next: Option<Query>,
}

fn first_batch() -> Query {
    Query::new(Filter::All).limit(BATCH)
}

/// Number and checksum of documents.
#[derive(Default)]
struct Sum {
    documents: u64,
    hash: Sha256,
}

impl Sum {
    /// Adds one document, independent of the order of its fields; returns its id.
    fn add(&mut self, document: &[u8], format: Format) -> Result<String> {
        let mut document = json::value(document, format)?;
        document.sort_all_objects();
        self.hash.update(document.to_string());
        self.hash.update("\n");
        self.documents += 1;
        id_of(&document)
    }

    fn end(self, schema: &Schema) -> Copied {
        let hash = self.hash.finalize();
        let checksum = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Copied { collection: schema.collection, documents: self.documents, checksum }
    }
}

fn id_of(document: &serde_json::Value) -> Result<String> {
    let id = document["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| StoreError::Failed("a stored document has no id".into()))
}

pub(super) fn unfinished() -> StoreError {
    StoreError::Unusable(
        "a copy into this database was not finished, so data may be missing: remove the database and \
         copy again"
            .into(),
    )
}

fn served() -> StoreError {
    StoreError::Unusable("processes serve from the source: stop them first, and copy again".into())
}

fn differs(schema: &Schema) -> StoreError {
    StoreError::Unusable(format!(
        "`{}` differs between source and target: something wrote to one of them meanwhile, or a document \
         has a field that this program doesn't know",
        schema.collection
    ))
}
