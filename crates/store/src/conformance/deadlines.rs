//! The deadline index and the janitor.

use crate::Janitor;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) async fn only_what_has_passed_its_latest_deadline_is_deleted(store: Store) {
    let at = |hours: u32| Some(store.env().wall() + HOUR * hours);
    let key = |n| key(Table::Sessions, "acme", n);
    put_until(&store, key(1), record(1, 40_000), at(1)).await;
    put_until(&store, key(2), record(2, 2), at(3)).await;
    put_until(&store, key(3), record(3, 3), at(1)).await;
    put_until(&store, key(3), record(3, 33), at(3)).await;
    put_until(&store, key(4), record(4, 4), at(1)).await;
    put_until(&store, key(4), record(4, 44), None).await;
    put_until(&store, key(5), record(5, 5), at(1)).await;
    delete(&store, &key(5)).await;
    put_until(&store, key(6), record(6, 6), Some(Timestamp(0))).await;

    let janitor = Janitor::new(&store);
    assert_eq!(janitor.sweep().await, Ok(1), "what was born expired");
    assert_absent(&store, &key(6)).await;
    pass(&store, HOUR * 2).await;
    assert_eq!(janitor.sweep().await, Ok(1));
    assert_absent(&store, &key(1)).await;
    assert_holds(&store, &key(2), &record(2, 2)).await;
    assert_holds(&store, &key(3), &record(3, 33)).await;
    pass(&store, HOUR * 2).await;
    assert_eq!(janitor.sweep().await, Ok(2));
    assert_holds(&store, &key(4), &record(4, 44)).await;
    assert_eq!(rows(&store).len(), 1, "only the one without a deadline");
}

pub(super) async fn no_deadline_is_further_away_than_the_bound(store: Store) {
    let never = Some(Timestamp(u64::MAX));
    put_until(&store, key(Table::Sessions, "acme", 1), record(1, 1), never).await;
    pass(&store, HOUR * 24 * 401).await;
    assert_eq!(Janitor::new(&store).sweep().await, Ok(1));
    assert_eq!(rows(&store), Rows::new());
}

pub(super) async fn the_janitor_deletes_more_than_one_batch(store: Store) {
    let soon = Some(store.env().wall() + SECOND * 10);
    let mut batch = Batch::new();
    for n in 0..1_000 {
        batch.put(key(Table::Events, "acme", n), record(n, 10), soon);
    }
    store.commit(batch).await.expect("it commits");
    let janitor = Janitor::new(&store).run();
    let janitor = store.env().spawn("janitor", janitor);
    // The janitor looks every second; the disk takes its time, but the clock stands then.
    pass(&store, SECOND * 20).await;
    assert_eq!(rows(&store), Rows::new());
    janitor.abort();
    drop(janitor.await);
}
