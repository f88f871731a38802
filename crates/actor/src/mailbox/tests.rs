use std::time::Duration;

use futures_util::FutureExt;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn drained<C, D>(mailbox: &mut Mailbox<C, D>) -> Vec<Item<C, D>> {
    std::iter::from_fn(|| mailbox.try_next()).collect()
}

#[tokio::test]
async fn control_overtakes_data_and_each_lane_keeps_its_order() {
    let (address, mut mailbox) = mailbox::<char, u32>(4, 4);
    address.tell(1).unwrap();
    address.tell(2).unwrap();
    address.control('a').unwrap();
    address.control('b').unwrap();
    let order = drained(&mut mailbox);
    use Item::{Control, Data};
    assert_eq!(order, [Control('a'), Control('b'), Data(1), Data(2)]);
}

#[tokio::test]
async fn control_can_be_read_alone_and_no_data_is_lost_by_it() {
    let (address, mut mailbox) = mailbox::<char, u32>(4, 64);
    let data: Vec<_> = (0..64).collect();
    data.iter().for_each(|item| address.tell(*item).unwrap());
    let control = async |mailbox: &mut Mailbox<char, u32>| {
        std::future::poll_fn(|cx| mailbox.poll_control(cx)).await
    };
    assert_eq!(control(&mut mailbox).now_or_never(), None);
    address.control('a').unwrap();
    assert_eq!(control(&mut mailbox).await, Some('a'));
    let left = drained(&mut mailbox).into_iter();
    let left: Vec<_> = left
        .filter_map(|item| match item {
            Item::Data(item) => Some(item),
            Item::Control(_) => None,
        })
        .collect();
    assert_eq!(left, data);
    drop(address);
    assert_eq!(control(&mut mailbox).await, None);
}

#[tokio::test]
async fn a_full_lane_gives_the_item_back_and_leaves_the_other_lane_alone() {
    let (address, mut mailbox) = mailbox::<char, u32>(1, 1);
    address.tell(1).unwrap();
    assert_eq!(address.tell(2), Err(NotSent::Full(2)));
    address.control('a').unwrap();
    assert_eq!(address.control('b'), Err(NotSent::Full('b')));
    assert_eq!(drained(&mut mailbox).len(), 2);
    address.tell(3).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_room_until_its_deadline() {
    let env = Env::seeded(1);
    let (address, mut mailbox) = mailbox::<(), u32>(1, 1);
    address.tell(1).unwrap();
    let late = address.send(&env, 2, env.now() + SECOND).await;
    assert_eq!(late, Err(NotSent::Full(2)));

    let waiting = address.send(&env, 3, env.now() + SECOND);
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(mailbox.try_next(), Some(Item::Data(1)));
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(mailbox.try_next(), Some(Item::Data(3)));
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_gave_up_leaves_its_place_to_the_next() {
    let env = Env::seeded(1);
    let (address, mut mailbox) = mailbox::<(), u32>(1, 1);
    address.tell(1).unwrap();
    let mut gives_up = Box::pin(address.send(&env, 2, env.now() + SECOND));
    assert!(gives_up.as_mut().now_or_never().is_none());
    mailbox.try_next();
    drop(gives_up);
    assert_eq!(address.tell(3), Ok(()));
}

#[tokio::test]
async fn dropping_the_mailbox_closes_it_and_wakes_who_waits() {
    let env = Env::seeded(1);
    let (address, mailbox) = mailbox::<(), u32>(1, 1);
    address.tell(1).unwrap();
    let deadline = env.now() + SECOND;
    let (sent, ()) = tokio::join!(address.send(&env, 2, deadline), async { drop(mailbox) });
    assert_eq!(sent, Err(NotSent::Closed(2)));
    assert!(address.is_closed());
    assert_eq!(address.tell(3), Err(NotSent::Closed(3)));
    assert_eq!(address.control(()), Err(NotSent::Closed(())));
}

#[tokio::test]
async fn a_closed_mailbox_is_read_to_its_end() {
    let (address, mut mailbox) = mailbox::<(), u32>(1, 2);
    address.tell(1).unwrap();
    mailbox.close();
    assert_eq!(address.tell(2), Err(NotSent::Closed(2)));
    assert_eq!(mailbox.next().await, Some(Item::Data(1)));
    assert_eq!(mailbox.next().await, None);
}

#[tokio::test]
async fn the_mailbox_ends_with_its_last_address() {
    let (address, mut mailbox) = mailbox::<(), u32>(1, 1);
    let other = address.clone();
    other.tell(1).unwrap();
    drop(address);
    let (items, ()) = tokio::join!(
        async { [mailbox.next().await, mailbox.next().await] },
        async {
            tokio::task::yield_now().await;
            drop(other);
        }
    );
    assert_eq!(items, [Some(Item::Data(1)), None]);
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_or_says_why_not() {
    let env = Env::seeded(1);
    let soon = env.now() + SECOND;
    let (address, mut mailbox) = mailbox::<(), Reply<u32>>(1, 1);
    let answer = async {
        if let Some(Item::Data(reply)) = mailbox.next().await {
            reply.send(7);
        }
        mailbox
    };
    let (asked, mut mailbox) = tokio::join!(address.ask(&env, soon, |reply| reply), answer);
    assert_eq!(asked, Ok(7));

    let unanswered = address.ask(&env, soon, |reply| reply).await;
    assert_eq!(unanswered, Err(AskError::Deadline));

    let (asked, ()) = tokio::join!(
        address.ask(&env, env.now() + SECOND, |reply| reply),
        async {
            mailbox.try_next();
            mailbox.next().await;
            drop(mailbox);
        }
    );
    assert_eq!(asked, Err(AskError::Closed));
}

#[tokio::test]
async fn a_drained_mailbox_gives_its_buffers_back() {
    let (address, mut mailbox) = mailbox::<u64, [u64; 8]>(64, 64);
    for n in 0..64 {
        address.tell([n; 8]).unwrap();
        address.control(n).unwrap();
    }
    drained(&mut mailbox);
    assert!(mailbox.next().now_or_never().is_none());
    let lanes = mailbox.0.lanes.lock();
    assert_eq!((lanes.control.capacity(), lanes.data.capacity()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_reordered_under_many_senders() {
    const SENDERS: u64 = 8;
    const EACH: u64 = 2_000;
    let env = Env::seeded(1);
    let (address, mut mailbox) = mailbox::<(), (u64, u64)>(1, 16);
    for sender in 0..SENDERS {
        let (env, address) = (env.clone(), address.clone());
        let world = env.clone();
        // Ends by itself: the mailbox is read to the end below.
        env.spawn("sender", async move {
            for n in 0..EACH {
                let deadline = world.now() + SECOND * 60;
                address.send(&world, (sender, n), deadline).await.unwrap();
            }
        });
    }
    drop(address);
    let mut next = [0; SENDERS as usize];
    while let Some(Item::Data((sender, n))) = mailbox.next().await {
        assert_eq!(n, next[sender as usize], "sender {sender}");
        next[sender as usize] += 1;
    }
    assert_eq!(next, [EACH; SENDERS as usize]);
}
