//! `/v1/ticket`, its files, and `/v1/ticket-keys`.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use serde_json::{Value, json};

use crate::support::{TestApp, reaches_all_of, text_of_pdf};

fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// Verifies a token as a scanner without a network does, by the published keys and the description in the document.
/// Returns the payload.
fn verified_offline(token: &str, keys: &Value) -> Option<Vec<u8>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let mut parts = signed.split('.');
    let (version, kid, payload) = (parts.next()?, parts.next()?, parts.next()?);
    let key = keys["keys"].as_array()?.iter().find(|key| key["kid"] == kid)?;
    assert_eq!((version, &key["algorithm"]), ("OT1", &json!("Ed25519")));
    let key: [u8; 32] = decode(key["publicKey"].as_str()?).try_into().ok()?;
    let signature: [u8; 64] = decode(signature).try_into().ok()?;
    let key = VerifyingKey::from_bytes(&key).ok()?;
    key.verify(signed.as_bytes(), &Signature::from_bytes(&signature)).ok()?;
    Some(decode(payload))
}

/// The content of the QR code in a picture.
fn read_code(png: &[u8]) -> String {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png));
    reader.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = reader.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("it fits")];
    let frame = reader.next_frame(&mut pixels).expect("whole");
    assert_eq!(frame.color_type, png::ColorType::Grayscale);
    let (width, height) = (frame.width as usize, frame.height as usize);
    let pixel = |x: usize, y: usize| pixels[y * width + x];
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
    let codes = picture.detect_grids();
    assert_eq!(codes.len(), 1);
    codes[0].decode().expect("readable").1
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_names_order_and_time_and_can_be_verified_offline() {
    let app = TestApp::start().await;
    let (ana, order) = app.registered().await;
    let ticket = ana.get("/v1/ticket").await.ok(200);
    let keys = app.anonymous().get("/v1/ticket-keys").await.ok(200);
    let token = ticket["token"].as_str().expect("a text");
    assert!(token.len() <= 154 && token.is_ascii(), "{}", token.len());
    let payload = verified_offline(token, &keys).expect("ours");
    let order_id: String = payload[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(order_id, order["id"].as_str().expect("a text").replace('-', ""));
    assert_eq!(payload.len(), 24);

    let mut forged = token.replacen(".A", ".B", 1);
    if forged == token {
        forged.replace_range(14..15, if &token[14..15] == "A" { "B" } else { "A" });
    }
    assert_eq!(verified_offline(&forged, &keys), None);
    assert_eq!(ana.get("/v1/ticket").await.ok(200), ticket, "the same each time");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn png_svg_and_pdf_show_the_same_ticket() {
    let app = TestApp::start().await;
    let (ana, _) = app.registered().await;
    let ticket = ana.get("/v1/ticket").await.ok(200);
    let png = ana.get("/v1/ticket.png").await;
    assert_eq!(read_code(&png.bytes), ticket["token"].as_str().expect("a text"));
    let svg = ana.get("/v1/ticket.svg").await;
    assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
    assert!(svg.text().starts_with("<svg") && svg.text().contains("36mm"), "{}", svg.text());
    let pdf = text_of_pdf(&ana.get("/v1/ticket.pdf").await.bytes);
    let receipt = ticket["receipt"]["number"].as_str().expect("a text");
    let group = ticket["group"]["name"].as_str().expect("a text");
    for shown in ["Ana García", group, "Orientation ticket", "130.00", receipt] {
        assert!(pdf.contains(shown), "{shown}: {pdf}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_ticket_before_the_payment_and_none_for_leaders() {
    let app = TestApp::start().await;
    let (ana, order) = app.submitted().await;
    let nobody = app.student().await;
    let leader = app.leader().await;
    for path in ["/v1/ticket", "/v1/ticket.png", "/v1/ticket.svg", "/v1/ticket.pdf"] {
        ana.get(path).await.refused(404, "not-registered");
        nobody.get(path).await.refused(404, "not-registered");
        leader.get(path).await.refused(403, "students-only");
        app.anonymous().get(path).await.refused(401, "not-signed-in");
    }
    ana.press_button(&order, "pay").await;
    ana.get("/v1/ticket").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_ticket_operations_is_reached() {
    reaches_all_of("Tickets", async |reach| {
        let app = reach.start().await;
        let (ana, (bo, _)) = (app.student().await, app.registered().await);
        for path in ["/v1/ticket", "/v1/ticket.png", "/v1/ticket.svg", "/v1/ticket.pdf"] {
            ana.get(path).await.refused(404, "not-registered");
            assert_eq!(bo.get(path).await.status, 200, "{path}");
        }
        app.anonymous().get("/v1/ticket-keys").await.ok(200);
        reach.without_a_store(&app, &ana, &[]).await;
        app.finish().await;
    })
    .await;
}
