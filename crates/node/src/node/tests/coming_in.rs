//! However many sources ask at the same moment: no more guests come in than may.

use std::sync::Barrier;

use super::super::NodeError;
use super::world::{Link, World, hosts};
use crate::model::Drain;
use crate::ownership::Holding;
use crate::peer::Offer;

/// Far more than the two that the hosts of these tests take.
const SOURCES: u64 = 8;

pub(super) fn offer(number: u64) -> Offer {
    let text = format!(
        "name = 'web{number}'\n[native]\nmemory = '64MiB'\nprobe = {{ workload = 'sweep' }}"
    );
    Offer {
        spec: toml::from_str(&text).unwrap(),
        migration: format!("a-{number}").parse().unwrap(),
        from: "a".parse().unwrap(),
        epoch: 2,
    }
}

#[test]
fn sources_that_ask_at_the_same_moment_do_not_get_more_in_than_may_come() {
    let (_folder, _, b) = hosts(&World::new(Link::Good));
    let node = b.start(usize::MAX);
    let together = Barrier::new(usize::try_from(SOURCES).unwrap());
    let ask = |number| {
        together.wait();
        node.expect(&offer(number))
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = &ask;
        let asked: Vec<_> = (0..SOURCES).map(|number| scope.spawn(move || ask(number))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2, "{answers:?}");
    let others = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(others.clone().all(|error| matches!(error, NodeError::Busy(_))), "{answers:?}");
    let vms = node.0.store.vms().unwrap();
    let incoming = |holding: &Holding| matches!(holding, Holding::Incoming { .. });
    assert_eq!(vms.iter().filter(|vm| incoming(&vm.ownership.holding)).count(), 2, "{vms:?}");
}

#[test]
fn a_source_that_asks_again_for_the_same_guest_is_not_counted_twice() {
    let (_folder, _, b) = hosts(&World::new(Link::Good));
    let node = b.start(usize::MAX);
    for number in [0, 1, 0, 1] {
        node.expect(&offer(number)).unwrap();
    }
    assert!(matches!(node.expect(&offer(2)), Err(NodeError::Busy(_))));
}

#[test]
fn a_node_that_is_being_emptied_takes_in_those_alone_that_it_has_said_yes_to() {
    let (_folder, _, b) = hosts(&World::new(Link::Good));
    let node = b.start(usize::MAX);
    node.expect(&offer(0)).unwrap();
    let held = super::super::lock(&node.0.admitting);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| node.expect(&offer(1)));
        // The other has to wait, whenever it comes.
        node.0.store.set_drain(Some(&Drain::default())).unwrap();
        drop(held);
        let refused = asked.join().unwrap().unwrap_err();
        assert!(refused.to_string().contains("is being emptied"), "{refused}");
    });
    assert_eq!(node.0.store.vms().unwrap().len(), 1);
}
