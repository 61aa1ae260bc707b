//! What a buyer does when the sale opens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use super::Measures;
use super::measures::Step;
use crate::cli::demo::journey::{Stuck, Visitor, retry_after, text_at};
use crate::kernel::{Ids, RandomIds};

/// The share of buyers who arrive at once; the others arrive evenly over the time given.
const AT_ONCE: f64 = 0.6;
/// How often [`Manner::Reloads`] looks before ordering, and how often it tries to order.
const LOOKS: u32 = 3;

/// How somebody buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Orders and pays.
    Steady,
    /// Reloads the page a few times first, and again after *sold out*.
    Reloads,
    /// Presses the button twice.
    PressesTwice,
    /// Orders, and leaves the checkout without paying.
    Leaves,
    /// Orders, and cancels.
    Cancels,
}

impl Manner {
    fn draw(random: &mut fastrand::Rng) -> Self {
        match random.u32(..100) {
            0..50 => Self::Steady,
            50..70 => Self::Reloads,
            70..85 => Self::PressesTwice,
            85..93 => Self::Leaves,
            _ => Self::Cancels,
        }
    }
}

/// Somebody with a session who wants to buy.
#[derive(Clone, Debug)]
pub(super) struct Buyer {
    pub cookie: String,
    pub manner: Manner,
    /// Time after the opening at which the buyer arrives.
    pub arrives: Duration,
    /// Time that the buyer takes to read a page.
    pub thinks: Duration,
}

/// What came of it, as far as the buyer knows.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub cookie: String,
    /// Ids of the orders that `createOrder` returned, each once.
    pub orders: Vec<String>,
    /// Whether *sold out* was the last answer.
    pub refused: bool,
    /// Whether the checkout took the payment.
    pub paid: bool,
    pub cancelled: bool,
    /// Why the buyer gave up, other than *sold out*.
    pub failed: Option<String>,
}

/// The buyers of the rehearsal, drawn from a seed.
pub(super) fn draw(cookies: Vec<String>, within: u32, seed: u64) -> Vec<Buyer> {
    let mut random = fastrand::Rng::with_seed(seed);
    let within = f64::from(within);
    let draw = |cookie| Buyer {
        cookie,
        manner: Manner::draw(&mut random),
        arrives: match random.f64() < AT_ONCE {
            true => Duration::ZERO,
            false => Duration::from_secs_f64(random.f64() * within),
        },
        thinks: Duration::from_millis(random.u64(..500)),
    };
    cookies.into_iter().map(draw).collect()
}

/// The sale, as the buyers reach it.
pub(super) struct Shop {
    visitor: Arc<Visitor>,
    product: String,
    /// The connections that all buyers share.
    connections: Semaphore,
    measures: Measures,
}

impl Shop {
    /// The sale of `product`, over at most `connections` connections.
    pub fn new(visitor: Arc<Visitor>, product: String, connections: u32) -> Self {
        let connections = Semaphore::new(connections as usize);
        Self { visitor, product, connections, measures: Measures::default() }
    }

    /// The times of the requests so far.
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Sends a request, again for as long as it is asked to wait. Returns the status and the body, which is null unless it
    /// is JSON.
    async fn send(&self, step: Step, request: RequestBuilder) -> Result<(StatusCode, Value), Stuck> {
        loop {
            let request = request.try_clone().ok_or_else(|| Stuck("a body can't be repeated".into()))?;
            let Answer { status, retry_after, body } = self.send_once(step, request).await?;
            match status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    self.measures.asked_to_wait();
                    tokio::time::sleep(retry_after).await;
                }
                status => return Ok((status, serde_json::from_slice(&body).unwrap_or_default())),
            }
        }
    }

    /// Sends a request once, and measures until the whole response is read.
    async fn send_once(&self, step: Step, request: RequestBuilder) -> Result<Answer, Stuck> {
        let _connection = self.connections.acquire().await.map_err(|error| Stuck(error.to_string()))?;
        let began = Instant::now();
        let answer = self.visitor.send(request).await?;
        let (status, retry_after) = (answer.status(), retry_after(&answer));
        let body = answer.bytes().await?.to_vec();
        self.measures.add(step, began.elapsed());
        Ok(Answer { status, retry_after, body })
    }

    fn request(&self, method: Method, path: &str, cookie: &str) -> RequestBuilder {
        self.visitor.request(method, path, cookie)
    }
}

/// A response.
struct Answer {
    status: StatusCode,
    retry_after: Duration,
    body: Vec<u8>,
}

impl Buyer {
    /// Arrives, orders, and pays, leaves or cancels.
    pub async fn buy(self, shop: &Shop) -> Outcome {
        tokio::time::sleep(self.arrives).await;
        let mut outcome = Outcome { cookie: self.cookie.clone(), ..Outcome::default() };
        if let Err(Stuck(reason)) = self.go(shop, &mut outcome).await {
            outcome.failed = Some(reason);
        }
        outcome
    }

    async fn go(&self, shop: &Shop, outcome: &mut Outcome) -> Result<(), Stuck> {
        let looks = if self.manner == Manner::Reloads { LOOKS } else { 1 };
        for _ in 0..looks {
            self.look(shop).await?;
        }
        let mut ordered = self.order(shop, outcome).await?;
        for _ in 1..looks {
            if ordered.is_some() {
                break;
            }
            tokio::time::sleep(self.thinks).await;
            if self.look(shop).await? > 0 {
                ordered = self.order(shop, outcome).await?;
            }
        }
        let Some(order) = ordered else { return Ok(()) };
        tokio::time::sleep(self.thinks).await;
        match self.manner {
            Manner::Leaves => Ok(()),
            Manner::Cancels => self.cancel(shop, &order, outcome).await,
            Manner::Steady | Manner::Reloads | Manner::PressesTwice => self.pay(shop, &order, outcome).await,
        }
    }

    /// Looks at the product. Returns the number of places left.
    async fn look(&self, shop: &Shop) -> Result<u64, Stuck> {
        let path = format!("/v1/products/{}", shop.product);
        let (_, product) =
            expect(shop.send(Step::GetProduct, shop.request(Method::GET, &path, &self.cookie)).await?)?;
        Ok(product["remaining"].as_u64().unwrap_or_default())
    }

    /// Orders once, or twice under one key. Returns the order, or nothing if the product is sold out.
    async fn order(&self, shop: &Shop, outcome: &mut Outcome) -> Result<Option<Value>, Stuck> {
        let key = RandomIds.next();
        let presses = if self.manner == Manner::PressesTwice { 2 } else { 1 };
        let answers = (0..presses).map(|_| async {
            let request = shop.request(Method::POST, "/v1/orders", &self.cookie);
            let request = request.header("Idempotency-Key", &key).json(&json!({ "product": shop.product }));
            shop.send(Step::CreateOrder, request).await
        });
        let mut ordered = None;
        for answer in futures_util::future::join_all(answers).await {
            let (status, order) = answer?;
            outcome.refused = status == StatusCode::CONFLICT && is_sold_out(&order);
            if outcome.refused {
                continue;
            }
            let (_, order) = expect((status, order))?;
            let id = text_at(&order, "/id")?;
            if !outcome.orders.contains(&id) {
                shop.measures.claimed();
                outcome.orders.push(id);
            }
            ordered = Some(order);
        }
        outcome.refused &= ordered.is_none();
        Ok(ordered)
    }

    /// Opens the checkout if the order came without, and presses *Pay* there.
    async fn pay(&self, shop: &Shop, order: &Value, outcome: &mut Outcome) -> Result<(), Stuck> {
        let page = match text_at(order, "/checkoutUrl") {
            Ok(page) => page,
            Err(_) => {
                let path = format!("/v1/orders/{}/checkout", text_at(order, "/id")?);
                let request = shop.request(Method::POST, &path, &self.cookie);
                text_at(&expect(shop.send(Step::OpenCheckout, request).await?)?.1, "/checkoutUrl")?
            }
        };
        let page = Url::parse(&page).map_err(|error| Stuck(format!("checkoutUrl: {error}")))?;
        expect(shop.send(Step::Checkout, shop.visitor.page(Method::GET, page.clone())).await?)?;
        tokio::time::sleep(self.thinks).await;
        let press = shop.visitor.page(Method::POST, page).form(&[("press", "pay")]);
        let (status, _) = shop.send(Step::Pay, press).await?;
        if !status.is_redirection() {
            return Err(Stuck(format!("pressing Pay: {status}")));
        }
        outcome.paid = true;
        Ok(())
    }

    async fn cancel(&self, shop: &Shop, order: &Value, outcome: &mut Outcome) -> Result<(), Stuck> {
        let path = format!("/v1/orders/{}/cancel", text_at(order, "/id")?);
        let request = shop.request(Method::POST, &path, &self.cookie);
        expect(shop.send(Step::CancelOrder, request).await?)?;
        outcome.cancelled = true;
        Ok(())
    }
}

fn is_sold_out(problem: &Value) -> bool {
    problem["type"].as_str().is_some_and(|name| name.ends_with("/sold-out"))
}

fn expect((status, body): (StatusCode, Value)) -> Result<(StatusCode, Value), Stuck> {
    if status.is_success() {
        Ok((status, body))
    } else {
        Err(Stuck(format!("{status} {}", body["detail"].as_str().unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_buyers() {
        let drawn = |seed| {
            let cookies = (0..1000).map(|n| n.to_string()).collect();
            let buyers = draw(cookies, 10, seed);
            buyers.into_iter().map(|buyer| (buyer.manner, buyer.arrives, buyer.thinks)).collect::<Vec<_>>()
        };
        let buyers = drawn(7);
        assert_eq!(buyers, drawn(7));
        assert_ne!(buyers, drawn(8));
        let at_once = buyers.iter().filter(|(_, arrives, _)| arrives.is_zero()).count();
        assert!((500..700).contains(&at_once), "{at_once}");
        assert!(buyers.iter().all(|(_, arrives, _)| *arrives <= Duration::from_secs(10)));
        for manner in [Manner::Steady, Manner::Reloads, Manner::PressesTwice, Manner::Leaves, Manner::Cancels]
        {
            assert!(buyers.iter().any(|(drawn, ..)| *drawn == manner), "{manner:?}");
        }
    }
}
