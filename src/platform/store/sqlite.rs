//! SQLite: one writer whose transactions queue under a fair lock; the committer stands in the same queue.
use super::{Backend, BackendTx, Dir, Filter, Query, Result, Schema, StoreError, Value};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value as Sql};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
    mpsc,
};
use tokio::sync::{Mutex as Fair, OwnedMutexGuard, Semaphore, oneshot};

struct Writer {
    conn: Connection,
    open: bool,
    waiting: Vec<oneshot::Sender<Result<()>>>,
    wake: mpsc::Sender<()>,
}
#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    members: AtomicU64,
    commit_us: AtomicU64,
}
pub struct Sqlite {
    writer: Arc<Fair<Writer>>,
    readers: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    counters: Arc<Counters>,
    get_off_thread: bool,
}

fn connect(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA cache_size=-65536; PRAGMA foreign_keys=ON;")?;
    conn.set_prepared_statement_cache_capacity(256);
    conn.create_scalar_function(
        "contains_ci",
        2,
        rusqlite::functions::FunctionFlags::SQLITE_UTF8
            | rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC,
        |c| {
            Ok(match (c.get::<Option<String>>(0)?, c.get::<String>(1)?) {
                (Some(h), n) => h.to_lowercase().contains(&n.to_lowercase()),
                _ => false,
            })
        },
    )?;
    Ok(conn)
}
fn failed(e: rusqlite::Error) -> StoreError {
    // "UNIQUE constraint failed: index 'orders_by_student'" for an expression index, "…: orders.id" for the key
    if let rusqlite::Error::SqliteFailure(code, Some(text)) = &e
        && matches!(
            code.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        )
    {
        let index = text.split('\'').nth(1).map_or("id", |i| i);
        return StoreError::Duplicate { index: index.into() };
    }
    StoreError::Failed(e.to_string())
}

impl Sqlite {
    pub fn open(path: &std::path::Path) -> Result<Self> {
        let (wake, woken) = mpsc::channel();
        let conn = connect(path).map_err(failed)?;
        let writer = Arc::new(Fair::new(Writer { conn, open: false, waiting: vec![], wake }));
        let counters = Arc::new(Counters::default());
        let readers = (0..4).map(|_| connect(path)).collect::<rusqlite::Result<Vec<_>>>().map_err(failed)?;
        let (queue, count) = (Arc::downgrade(&writer), counters.clone());
        let extra = 0;
        // The only thread that waits for the disk. It stands in line like everybody else: whoever was in
        // line before it is in this commit, whoever comes after is in the next one.
        std::thread::spawn(move || {
            while woken.recv().is_ok() {
                let Some(queue) = queue.upgrade() else { return };
                let mut w = queue.blocking_lock();
                if !w.open {
                    continue;
                }
                let t = std::time::Instant::now();
                let done = w.conn.execute_batch("COMMIT").map_err(failed);
                if extra > 0 {
                    std::thread::sleep(std::time::Duration::from_micros(extra))
                }
                if done.is_err() {
                    w.conn.execute_batch("ROLLBACK").ok();
                }
                w.open = false;
                let waiting = std::mem::take(&mut w.waiting);
                drop(w);
                count.commits.fetch_add(1, Relaxed);
                count.members.fetch_add(waiting.len() as u64, Relaxed);
                count.commit_us.fetch_add(t.elapsed().as_micros() as u64, Relaxed);
                for one in waiting {
                    one.send(done.clone()).ok();
                }
            }
        });
        Ok(Self {
            writer,
            readers: Arc::new(Mutex::new(readers)),
            permits: Arc::new(Semaphore::new(4)),
            counters,
            get_off_thread: false,
        })
    }
    async fn read<T: Send + 'static>(
        &self,
        off_thread: bool,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let _permit = self.permits.clone().acquire_owned().await.expect("never closed");
        let conn = self.readers.lock().unwrap().pop().expect("as many as permits");
        let readers = self.readers.clone();
        let run = move || {
            let r = f(&conn).map_err(failed);
            readers.lock().unwrap().push(conn);
            r
        };
        if off_thread {
            tokio::task::spawn_blocking(run).await.map_err(|e| StoreError::Failed(e.to_string()))?
        } else {
            run()
        }
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn prepare(&self, schemas: &[Schema]) -> Result<()> {
        let w = self.writer.lock().await;
        for s in schemas {
            let mut sql = format!(
                "CREATE TABLE IF NOT EXISTS {c} (id TEXT PRIMARY KEY, doc TEXT NOT NULL);",
                c = s.collection
            );
            for i in s.indexes {
                let fields: Vec<_> = i.fields.iter().map(|f| column(f)).collect();
                let tail = if i.unique { "" } else { ", id" };
                sql += &format!(
                    "CREATE {} INDEX IF NOT EXISTS {} ON {} ({}{tail});",
                    if i.unique { "UNIQUE" } else { "" },
                    i.name,
                    s.collection,
                    fields.join(", ")
                );
            }
            w.conn.execute_batch(&sql).map_err(failed)?;
        }
        Ok(())
    }
    async fn get(&self, coll: &'static str, id: &str) -> Result<Option<Vec<u8>>> {
        let id = id.to_owned();
        self.read(self.get_off_thread, move |c| get(c, coll, &id)).await
    }
    async fn find(&self, coll: &'static str, q: Query) -> Result<Vec<Vec<u8>>> {
        self.read(true, move |c| find(c, coll, &q)).await
    }
    async fn count(&self, coll: &'static str, filter: Filter) -> Result<u64> {
        self.read(true, move |c| {
            let (mut args, sql) = (vec![], &mut String::new());
            where_(&filter, sql, &mut args);
            c.prepare_cached(&format!("SELECT count(*) FROM {coll} WHERE {sql}"))?
                .query_row(params_from_iter(args), |r| r.get::<_, i64>(0))
                .map(|n| n as u64)
        })
        .await
    }
    async fn tally(
        &self,
        coll: &'static str,
        field: &'static str,
        filter: Filter,
    ) -> Result<Vec<(String, u64)>> {
        self.read(true, move |c| {
            let (mut args, sql, col) = (vec![], &mut String::new(), column(field));
            where_(&filter, sql, &mut args);
            c.prepare_cached(&format!(
                "SELECT {col}, count(*) FROM {coll} WHERE {sql} GROUP BY {col} ORDER BY 1"
            ))?
            .query_map(params_from_iter(args), |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)? as u64)))?
            .collect()
        })
        .await
    }
    async fn begin(&self) -> Result<Box<dyn BackendTx>> {
        let mut w = self.writer.clone().lock_owned().await;
        if !w.open {
            w.conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
            w.open = true;
        }
        w.conn.prepare_cached("SAVEPOINT t").and_then(|mut s| s.execute([])).map_err(failed)?;
        Ok(Box::new(SqliteTx { writer: Some(w) }))
    }
    fn stats(&self) -> String {
        let c = &self.counters;
        let (n, m, us) =
            (c.commits.swap(0, Relaxed).max(1), c.members.swap(0, Relaxed), c.commit_us.swap(0, Relaxed));
        format!("{:.1} per commit, commit {:.2} ms", m as f64 / n as f64, us as f64 / n as f64 / 1e3)
    }
}

struct SqliteTx {
    writer: Option<OwnedMutexGuard<Writer>>,
}
impl SqliteTx {
    fn conn(&self) -> &Connection {
        &self.writer.as_ref().expect("open").conn
    }
    /// Ends the turn and waits until all that this transaction wrote *or read* is on the disk.
    async fn durable(&mut self) -> Result<()> {
        let (tell, told) = oneshot::channel();
        let mut w = self.writer.take().expect("open");
        w.waiting.push(tell);
        if w.waiting.len() == 1 {
            w.wake.send(()).map_err(|_| StoreError::Failed("committer is gone".into()))?;
        }
        drop(w);
        told.await.map_err(|_| StoreError::Failed("committer is gone".into()))?
    }
}
impl Drop for SqliteTx {
    // The caller went away in the middle (client hung up): undo, and leave the batch to the others.
    fn drop(&mut self) {
        if let Some(w) = self.writer.as_mut() {
            w.conn.execute_batch("ROLLBACK TO t; RELEASE t").ok();
            if w.waiting.is_empty() {
                w.conn.execute_batch("ROLLBACK").ok();
                w.open = false;
            }
        }
    }
}
#[async_trait]
impl BackendTx for SqliteTx {
    async fn get(&mut self, coll: &'static str, id: &str) -> Result<Option<Vec<u8>>> {
        get(self.conn(), coll, id).map_err(failed)
    }
    async fn find(&mut self, coll: &'static str, q: Query) -> Result<Vec<Vec<u8>>> {
        find(self.conn(), coll, &q).map_err(failed)
    }
    async fn insert(&mut self, coll: &'static str, id: &str, doc: Vec<u8>) -> Result<()> {
        self.conn()
            .prepare_cached(&format!("INSERT INTO {coll} (id, doc) VALUES (?1, ?2)"))
            .and_then(|mut s| s.execute(params![id, text(&doc)]))
            .map(drop)
            .map_err(failed)
    }
    async fn put(&mut self, coll: &'static str, id: &str, doc: Vec<u8>) -> Result<()> {
        self.conn().prepare_cached(&format!("INSERT INTO {coll} (id, doc) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc"))
            .and_then(|mut s| s.execute(params![id, text(&doc)])).map(drop).map_err(failed)
    }
    async fn delete(&mut self, coll: &'static str, id: &str) -> Result<bool> {
        self.conn()
            .prepare_cached(&format!("DELETE FROM {coll} WHERE id = ?1"))
            .and_then(|mut s| s.execute([id]))
            .map(|n| n > 0)
            .map_err(failed)
    }
    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.conn().prepare_cached("RELEASE t").and_then(|mut s| s.execute([])).map_err(failed)?;
        self.durable().await
    }
    async fn rollback(mut self: Box<Self>) -> Result<()> {
        if self.writer.as_ref().is_some_and(|w| w.waiting.is_empty()) {
            return Ok(());
        } // Drop undoes it all
        self.conn().execute_batch("ROLLBACK TO t; RELEASE t").map_err(failed)?;
        self.durable().await
    }
}

fn text(doc: &[u8]) -> &str {
    std::str::from_utf8(doc).expect("JSON is UTF-8")
}
fn column(field: &str) -> String {
    if field == "id" { "id".into() } else { format!("json_extract(doc,'$.{field}')") }
}
fn get(c: &Connection, coll: &str, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    c.prepare_cached(&format!("SELECT doc FROM {coll} WHERE id = ?1"))?
        .query_row([id], |r| r.get::<_, String>(0))
        .optional()
        .map(|d| d.map(String::into_bytes))
}
fn find(c: &Connection, coll: &str, q: &Query) -> rusqlite::Result<Vec<Vec<u8>>> {
    let (mut args, mut sql) = (vec![], format!("SELECT doc FROM {coll} WHERE "));
    where_(&q.filter, &mut sql, &mut args);
    let order: Vec<_> = q
        .sort
        .iter()
        .map(|(f, d)| format!("{}{}", column(f), if *d == Dir::Desc { " DESC" } else { "" }))
        .collect();
    sql += &format!(" ORDER BY {} LIMIT {}", order.join(", "), q.limit);
    c.prepare_cached(&sql)?
        .query_map(params_from_iter(args), |r| r.get::<_, String>(0).map(String::into_bytes))?
        .collect()
}
fn where_(f: &Filter, sql: &mut String, args: &mut Vec<Sql>) {
    let mut bind = |v: &Value| {
        args.push(match v {
            Value::Text(s) => Sql::Text(s.clone()),
            Value::Int(i) => Sql::Integer(*i),
            Value::Bool(b) => Sql::Integer((*b).into()),
            Value::Time(t) => Sql::Text(t.rfc3339()),
        });
        format!("?{}", args.len())
    };
    match f {
        Filter::All => sql.push('1'),
        Filter::Eq(c, v) => *sql += &format!("{} = {}", column(c), bind(v)),
        Filter::Gt(c, v) => *sql += &format!("{} > {}", column(c), bind(v)),
        Filter::Le(c, v) => *sql += &format!("{} <= {}", column(c), bind(v)),
        Filter::Lt(c, v) => *sql += &format!("{} < {}", column(c), bind(v)),
        Filter::In(c, vs) => {
            let m: Vec<_> = vs.iter().map(bind).collect();
            *sql += &format!("{} IN ({})", column(c), m.join(","))
        }
        Filter::Range(c, from, to) => {
            let from = from.as_ref().map(|v| format!("{} >= {}", column(c), bind(v)));
            let to = to.as_ref().map(|v| format!("{} < {}", column(c), bind(v)));
            *sql +=
                &[from, to].into_iter().flatten().reduce(|a, b| format!("{a} AND {b}")).unwrap_or("1".into());
        }
        Filter::Contains(c, s) => {
            *sql += &format!("contains_ci({}, {})", column(c), bind(&s.as_str().into()))
        }
        Filter::And(all) => join(all, " AND ", "1", sql, args),
        Filter::Or(any) => join(any, " OR ", "0", sql, args),
        // two-valued as on MongoDB: a missing field is not equal, so "not equal" holds for it
        Filter::Not(one) => {
            *sql += "NOT ifnull((";
            where_(one, sql, args);
            *sql += "), 0)";
        }
    }
}
fn join(of: &[Filter], word: &str, empty: &str, sql: &mut String, args: &mut Vec<Sql>) {
    if of.is_empty() {
        return sql.push_str(empty);
    }
    for (i, f) in of.iter().enumerate() {
        *sql += if i > 0 { word } else { "(" };
        sql.push('(');
        where_(f, sql, args);
        sql.push(')');
    }
    sql.push(')');
}
