use crate::config::BuyerKind::{Everyone, Leaders, Students};
use crate::config::{Buyers, Product};
use crate::features::registration::RegistrationState;
use crate::features::registration::testing::{Desk, form};
use crate::kernel::{Caller, Rights, Timestamp};

use super::model::{NotEligible, SaleState, check_buyer};

fn product() -> Product {
    let at = |millis| Some(Timestamp::from_millis(millis));
    Product {
        opens: at(10),
        closes: at(20),
        ..Product::of("retreat", "Retreat", "CAD 95.00".parse().unwrap())
    }
}

#[test]
fn a_sale_is_open_from_its_start_until_before_its_end() {
    let state = |millis| SaleState::of(&product(), None, Timestamp::from_millis(millis));
    assert_eq!(
        [9, 10, 19, 20].map(state),
        [SaleState::NotYet, SaleState::Open, SaleState::Open, SaleState::Ended]
    );
}

#[tokio::test]
async fn the_configuration_says_who_may_buy() {
    let desk = Desk::open().await;
    desk.account("ana").await;
    let (mut student, _) =
        desk.registrations.register(&Caller::student("ana"), form("student1"), None).await.unwrap();
    let submitted = student.clone();
    student.state = RegistrationState::Registered;
    let (nobody, leader) = (Rights::student(), Rights::leader([]));
    let of = |who, discipline: &str, group: &str| {
        let list = |one: &str| if one.is_empty() { vec![] } else { vec![one.to_owned()] };
        Buyers { who, disciplines: list(discipline), groups: list(group) }
    };
    let (discipline, group) = (student.form.discipline.as_str(), student.group.as_str());
    for (buyers, rights, registration, expected) in [
        (of(Students, "", ""), &nobody, Some(&student), Ok(())),
        (of(Students, discipline, group), &nobody, Some(&student), Ok(())),
        (of(Students, "Another", ""), &nobody, Some(&student), Err(NotEligible::Discipline)),
        (of(Students, "", "Another"), &nobody, Some(&student), Err(NotEligible::Group)),
        (of(Students, "", ""), &nobody, Some(&submitted), Err(NotEligible::NotRegistered)),
        (of(Students, "", ""), &leader, None, Err(NotEligible::NotRegistered)),
        (of(Leaders, "", ""), &leader, None, Ok(())),
        (of(Leaders, "", ""), &nobody, Some(&student), Err(NotEligible::NotALeader)),
        (of(Everyone, "", ""), &leader, None, Ok(())),
        (of(Everyone, "", ""), &nobody, Some(&student), Ok(())),
        (of(Everyone, "", "Another"), &nobody, Some(&student), Err(NotEligible::Group)),
        (of(Everyone, "", ""), &nobody, None, Err(NotEligible::NotRegistered)),
    ] {
        assert_eq!(check_buyer(&buyers, rights, registration), expected, "{buyers:?}");
    }
}
