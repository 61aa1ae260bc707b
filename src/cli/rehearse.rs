//! `orientation rehearse`: plays the opening of a sale, and checks that every place went to one buyer.
//!
//! It uses the service as the buyers' browsers do, through its URLs only, so it works with any sandbox.

mod buyer;
mod checks;
mod measures;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};

use self::buyer::{Buyer, Outcome, Shop};
use self::measures::Measures;
use self::report::Report;
use super::demo::journey::{Stuck, Visitor};
use super::demo::students::{self, Student};
use super::{Failed, RehearseOptions, admin, run};
use crate::config::Event;

/// How long a buyer waits for an email or a payment.
const PATIENCE: Duration = Duration::from_secs(120);
/// Number of students who register at the same time, before the sale.
const REGISTERING: usize = 16;
/// Number of buyers whose orders are read at the same time, after the sale.
const READING: usize = 16;

/// Plays the sale and prints a report.
///
/// # Errors
/// If the service can't be started or has no sandbox, if the administrator can't sign in, if the product isn't sold, or if
/// a check failed.
pub(super) async fn run(options: RehearseOptions) -> Result<(), Failed> {
    match &options.url {
        Some(url) => {
            let visitor = Visitor::new(url.clone())?;
            let email = options.administrator.as_deref().unwrap_or_default();
            visitor.sign_in_administrator(email, &admin::password("Administrator's password: ")?).await?;
            visitor.requires_a_sandbox().await?;
            add_places(&visitor, &options).await.map_err(|stuck| Failed(stuck.0))?;
            rehearse(visitor, &options).await
        }
        None => {
            let sale = |event: &mut Event| open_sale(event, &options);
            let own = run::start_temporary_service(options.keep, sale).await?;
            let rehearsed = rehearse(Visitor::new(own.url.clone())?, &options).await;
            own.end().await;
            rehearsed
        }
    }
}

/// Sells the places now, in the event of the temporary service.
fn open_sale(event: &mut Event, options: &RehearseOptions) -> Result<(), Failed> {
    let product = event.products.iter_mut().find(|product| product.id == options.product);
    let product = product.ok_or_else(|| Failed(format!("--product: `{}` is not sold", options.product)))?;
    product.capacity = Some(options.places);
    (product.opens, product.closes) = (None, None);
    Ok(())
}

/// Sets the capacity of a running service so that exactly the places of the rehearsal are left.
async fn add_places(visitor: &Visitor, options: &RehearseOptions) -> Result<(), Stuck> {
    let product = product(visitor, &options.product).await?;
    let path = format!("/v1/products/{}/capacity", options.product);
    let capacity = taken(&product) + u64::from(options.places);
    visitor.ask_as_administrator(Method::PUT, &path, &json!({ "capacity": capacity })).await.map(drop)
}

async fn product(visitor: &Visitor, id: &str) -> Result<Value, Stuck> {
    Ok(visitor.ask(Method::GET, &format!("/v1/products/{id}"), None, None).await?.json().await?)
}

/// Number of places that orders have.
fn taken(product: &Value) -> u64 {
    let number = |name: &str| product[name].as_u64().unwrap_or_default();
    number("capacity").saturating_sub(number("remaining"))
}

async fn rehearse(visitor: Visitor, options: &RehearseOptions) -> Result<(), Failed> {
    let stuck = |Stuck(reason)| Failed(reason);
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let (buyers, places) = (options.buyers, options.places);
    println!(
        "{buyers} buyers of {places} places of `{}` at {}, seed {seed}",
        options.product,
        visitor.service()
    );
    let visitor = Arc::new(visitor);
    let cookies = register(&visitor, students::made_up(buyers)).await.map_err(stuck)?;
    let before = product(&visitor, &options.product).await.map_err(stuck)?;
    let shop = Arc::new(Shop::new(visitor.clone(), options.product.clone(), options.at_once));
    let buyers = buyer::draw(cookies, options.within, seed);
    let (outcomes, took) = sell(&shop, buyers).await?;
    let left = checks::read_orders(&visitor, &options.product, outcomes).await.map_err(stuck)?;
    let after = product(&visitor, &options.product).await.map_err(stuck)?;
    let checks = checks::all(&left, u64::from(places), taken(&before), taken(&after));
    let report = Report::of(&left, checks, shop.measures(), took);
    println!("{report}");
    match report.failures() {
        0 => Ok(()),
        n => Err(Failed(format!("{n} checks failed (--seed {seed})"))),
    }
}

/// Registers the students. Returns their session cookies.
async fn register(visitor: &Visitor, students: Vec<Student>) -> Result<Vec<String>, Stuck> {
    let bar = bar(students.len(), "{bar:40} {pos}/{len} buyers have registered, {eta} left");
    let cookies = futures_util::stream::iter(students)
        .map(|student| async move {
            let registered = visitor.register(&student, PATIENCE).await?;
            visitor.is_registered(&registered.cookie, PATIENCE).await?;
            Ok(registered.cookie)
        })
        .buffer_unordered(REGISTERING)
        .inspect_ok(|_| bar.inc(1))
        .try_collect()
        .await;
    bar.finish_and_clear();
    cookies
}

/// Opens the doors. Every buyer is a task, because people don't wait for each other.
async fn sell(shop: &Arc<Shop>, buyers: Vec<Buyer>) -> Result<(Vec<Outcome>, Duration), Failed> {
    let bar = bar(buyers.len(), "{bar:40} {pos}/{len} buyers have finished");
    let began = Instant::now();
    let tasks: Vec<_> = buyers
        .into_iter()
        .map(|buyer| {
            let (shop, bar) = (shop.clone(), bar.clone());
            tokio::spawn(async move {
                let outcome = buyer.buy(&shop).await;
                bar.inc(1);
                outcome
            })
        })
        .collect();
    let mut outcomes = Vec::with_capacity(tasks.len());
    for task in tasks {
        outcomes.push(task.await.map_err(Failed::because)?);
    }
    bar.finish_and_clear();
    Ok((outcomes, began.elapsed()))
}

fn bar(length: usize, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is right");
    ProgressBar::new(length as u64).with_style(style)
}
