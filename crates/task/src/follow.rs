//! Who wants to hear of which tasks: one broadcast from each actor to the listens of clients.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use metrics::Counter;
use ostler_protocol::task::TaskView;
use ostler_types::TaskId;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// The listens of this node, by task.
pub(crate) struct Listens {
    by_task: Mutex<HashMap<TaskId, Vec<Arc<Listener>>>>,
    len_max: usize,
    cut: Counter,
}

/// One listen. Without a sender it was cut off.
struct Listener {
    sender: Mutex<Option<mpsc::Sender<TaskView>>>,
}

/// Changes of the tasks that one client follows. Ends when it is read too slowly: then the
/// client has to look again by itself.
pub struct TaskUpdates {
    updates: mpsc::Receiver<TaskView>,
    listens: Arc<Listens>,
    listener: Arc<Listener>,
    tasks: Vec<TaskId>,
}

impl Listens {
    pub fn new(len_max: usize, cut: Counter) -> Arc<Self> {
        Arc::new(Self {
            by_task: Mutex::default(),
            len_max,
            cut,
        })
    }

    pub fn listen(self: &Arc<Self>, tasks: Vec<TaskId>) -> TaskUpdates {
        let (sender, updates) = mpsc::channel(self.len_max);
        let listener = Arc::new(Listener {
            sender: Mutex::new(Some(sender)),
        });
        let mut by_task = self.by_task.lock();
        for task in &tasks {
            by_task.entry(*task).or_default().push(listener.clone());
        }
        TaskUpdates {
            updates,
            listens: self.clone(),
            listener,
            tasks,
        }
    }

    /// Tells everybody who listens, without waiting for anybody.
    pub fn publish(&self, task: TaskId, view: impl FnOnce() -> TaskView) {
        let by_task = self.by_task.lock();
        let Some(listeners) = by_task.get(&task) else {
            return;
        };
        let view = view();
        for listener in listeners {
            self.tell(listener, &view);
        }
    }

    fn tell(&self, listener: &Listener, view: &TaskView) {
        let mut sender = listener.sender.lock();
        let Some(open) = &*sender else {
            return;
        };
        match open.try_reserve() {
            Ok(room) => return room.send(view.clone()),
            Err(mpsc::error::TrySendError::Closed(())) => return,
            Err(mpsc::error::TrySendError::Full(())) => {}
        }
        *sender = None;
        self.cut.increment(1);
    }
}

impl Stream for TaskUpdates {
    type Item = TaskView;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TaskView>> {
        self.updates.poll_recv(cx)
    }
}

impl Drop for TaskUpdates {
    fn drop(&mut self) {
        let mut by_task = self.listens.by_task.lock();
        for task in &self.tasks {
            let Some(listeners) = by_task.get_mut(task) else {
                continue;
            };
            listeners.retain(|listener| !Arc::ptr_eq(listener, &self.listener));
            if listeners.is_empty() {
                by_task.remove(task);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use ostler_protocol::task::TaskState;
    use ostler_types::Timestamp;

    use super::*;

    fn view(id: &str) -> TaskView {
        TaskView {
            id: id.to_owned(),
            state: TaskState::Working,
            status_message: None,
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
            ttl: None,
            poll_interval: None,
        }
    }

    fn publish(listens: &Listens, task: u8) {
        listens.publish(TaskId([task; 24]), || view(&task.to_string()));
    }

    #[tokio::test]
    async fn a_listen_hears_of_its_own_tasks_only_and_leaves_nothing_behind() {
        let listens = Listens::new(4, Counter::noop());
        let mut one = listens.listen(vec![TaskId([1; 24]), TaskId([2; 24])]);
        let mut other = listens.listen(vec![TaskId([2; 24])]);
        for task in [1, 2, 3] {
            publish(&listens, task);
        }
        assert_eq!(one.next().await.unwrap().id, "1");
        assert_eq!(one.next().await.unwrap().id, "2");
        assert_eq!(other.next().await.unwrap().id, "2");
        drop((one, other));
        assert!(listens.by_task.lock().is_empty());
    }

    #[tokio::test]
    async fn a_listen_that_is_read_too_slowly_ends() {
        let listens = Listens::new(2, Counter::noop());
        let updates = listens.listen(vec![TaskId([1; 24])]);
        for _ in 0..5 {
            publish(&listens, 1);
        }
        assert_eq!(updates.count().await, 2);
    }
}
