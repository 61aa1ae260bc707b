use proptest::prelude::*;

use super::*;
use crate::platform::qr::Qr;

/// The secret of RFC 6238, appendix B.
fn rfc_secret() -> TotpSecret {
    TotpSecret::read(b"12345678901234567890").unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// The code that an authenticator app shows at this time.
fn shown(secret: &TotpSecret, seconds: i64) -> String {
    secret.totp().generate(seconds as u64).to_string()
}

fn factor() -> SecondFactor {
    let mut factor = SecondFactor::enrolled("ana", String::new(), at(0));
    factor.confirm(at(0));
    factor
}

fn codes() -> Vec<RecoveryCode> {
    (0..RECOVERY_CODES as u8).map(|n| RecoveryCode::new([n; 32])).collect()
}

#[test]
fn the_codes_are_those_of_rfc_6238() {
    // The last six of the eight digits in the table of appendix B.
    for (seconds, code) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        assert_eq!(rfc_secret().step_of(code, at(seconds)), Some(seconds / 30), "{seconds}");
    }
}

#[test]
fn a_code_counts_one_step_early_or_late_and_no_more() {
    let now = 1_800_000_015;
    let code = shown(&rfc_secret(), now);
    for (shift, counts) in [(-60, false), (-46, false), (-45, true), (-30, true), (0, true), (30, true)] {
        assert_eq!(rfc_secret().step_of(&code, at(now + shift)).is_some(), counts, "{shift}");
    }
    assert_eq!(rfc_secret().step_of(&code, at(now + 44)), Some(now / 30));
    assert_eq!(rfc_secret().step_of(&code, at(now + 45)), None);
}

#[test]
fn a_code_and_those_before_it_are_accepted_once() {
    let (mut factor, secret, now) = (factor(), rfc_secret(), 1_800_000_015);
    let mut accept = |seconds| factor.accept_totp(&secret, &shown(&secret, seconds), at(now));
    assert_eq!(accept(now), Some(Accepted::Totp));
    assert_eq!(accept(now), None);
    assert_eq!(accept(now - 30), None);
    assert_eq!(accept(now + 30), Some(Accepted::Totp));
    assert_eq!(accept(now), None);
}

#[test]
fn a_recovery_code_is_accepted_once_and_for_its_account() {
    let mut factor = factor();
    factor.set_recovery_codes(&codes());
    for (n, code) in codes().iter().enumerate() {
        let left = RECOVERY_CODES - n - 1;
        assert_eq!(factor.accept_recovery_code(code), Some(Accepted::RecoveryCode { left }));
        assert_eq!(factor.accept_recovery_code(code), None);
    }
    let mut another = SecondFactor { id: "bo".into(), ..factor.clone() };
    factor.set_recovery_codes(&codes());
    another.recovery_codes.clone_from(&factor.recovery_codes);
    assert_eq!(another.accept_recovery_code(&codes()[0]), None);
}

#[test]
fn new_recovery_codes_replace_the_earlier_ones() {
    let mut factor = factor();
    factor.set_recovery_codes(&codes());
    factor.set_recovery_codes(&[RecoveryCode::new([99; 32])]);
    assert_eq!(factor.accept_recovery_code(&codes()[0]), None);
    let last = factor.accept_recovery_code(&RecoveryCode::new([99; 32]));
    assert_eq!(last, Some(Accepted::RecoveryCode { left: 0 }));
}

#[test]
fn codes_are_read_however_people_group_them() {
    for typed in ["287082", " 287 082 ", "287-082", "２８７０８２", "٢٨٧٠٨٢", "287\u{200b}082"] {
        assert_eq!(Code::read(typed), Some(Code::Totp("287082".into())), "{typed}");
    }
    let code = RecoveryCode::new([0x5a; 32]);
    assert_eq!(code.written(), "LJNF-UWS2-LJNF-UWS2");
    for typed in ["LJNF-UWS2-LJNF-UWS2", "ljnfuws2ljnfuws2", "LJNF UWS2 LJNF UWS2", "ljnf–uws2–ljnf–uws2"]
    {
        assert_eq!(Code::read(typed), Some(Code::Recovery(code.clone())), "{typed}");
    }
    let letters = RecoveryCode::read("OIBOIBOIBOIBOIBO");
    assert!(letters.is_some());
    assert_eq!(RecoveryCode::read("018018018018018O"), letters);
    for typed in ["", "28708", "2870820", "28708a", "LJNF-UWS2-LJNF-UWS", "LJNF-UWS2-LJNF-UWS9", "-"] {
        assert_eq!(Code::read(typed), None, "{typed}");
    }
}

#[test]
fn the_uri_names_the_event_and_the_account() {
    let uri = rfc_secret().uri("Week: 2027 & more", "ana+1@example.org");
    let url = url::Url::parse(&uri).unwrap();
    assert_eq!((url.scheme(), url.host_str()), ("otpauth", Some("totp")));
    assert_eq!(url.path(), "/Week%20%202027%20%26%20more:ana%2B1%40example%2Eorg");
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    let expected = [
        ("secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
        ("issuer", "Week  2027 & more"),
        ("algorithm", "SHA1"),
        ("digits", "6"),
        ("period", "30"),
    ];
    assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn the_longest_uri_fits_into_a_qr_code() {
    let uri = rfc_secret().uri(&"𞄀".repeat(200), &"𞄀".repeat(300));
    assert!(Qr::new(&uri).is_ok(), "{}", uri.len());
}

#[test]
fn printed_secrets_show_nothing() {
    let shown = format!("{:?} {:?}", rfc_secret(), Code::Recovery(RecoveryCode::new([7; 32])));
    assert!(!shown.contains('7') && !shown.contains("49"), "{shown}");
}

proptest! {
    #[test]
    fn every_code_of_an_app_is_accepted_within_a_step_and_never_twice(
        random in any::<[u8; 32]>(), seconds in 60i64..4_000_000_000, drift in -30i64..=30,
    ) {
        let (secret, mut factor) = (TotpSecret::new(random), factor());
        let code = shown(&secret, seconds + drift);
        prop_assert_eq!(factor.accept_totp(&secret, &code, at(seconds)), Some(Accepted::Totp));
        for later in 0..120 {
            // Another step may have the same digits, once in some hundred thousand.
            let accepted = factor.clone().accept_totp(&secret, &code, at(seconds + later));
            let repeats = secret.step_of(&code, at(seconds + later)).is_some_and(|s| Some(s) > factor.last_step);
            prop_assert_eq!(accepted.is_some(), repeats);
        }
    }

    #[test]
    fn the_steps_that_are_accepted_ascend(codes in prop::collection::vec(-3i64..4, 1..40)) {
        let (secret, mut factor, mut last) = (rfc_secret(), factor(), None);
        for (n, shift) in codes.into_iter().enumerate() {
            let now = 1_800_000_000 + 10 * n as i64;
            if factor.accept_totp(&secret, &shown(&secret, now + 30 * shift), at(now)).is_some() {
                prop_assert!(factor.last_step > last);
                last = factor.last_step;
            }
            prop_assert_eq!(factor.last_step, last);
        }
    }

    #[test]
    fn a_written_recovery_code_reads_back(random in any::<[u8; 32]>()) {
        let code = RecoveryCode::new(random);
        let written = code.written();
        prop_assert_eq!(written.len(), 19);
        prop_assert_eq!(Code::read(&written), Some(Code::Recovery(code.clone())));
        prop_assert_eq!(Code::read(&written.to_lowercase()), Some(Code::Recovery(code)));
    }

    #[test]
    fn no_text_causes_a_panic(typed in ".{0,40}", seconds in any::<i64>()) {
        let _ = Code::read(&typed);
        prop_assert_eq!(rfc_secret().step_of("", Timestamp::from_millis(seconds)), None);
        let _ = rfc_secret().step_of(&typed, Timestamp::from_millis(seconds));
    }
}
