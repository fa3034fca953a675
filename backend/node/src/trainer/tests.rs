//! Against real processes: a shell plays the trainer.

use std::time::Instant;

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

async fn ended(script: &str) -> Ended {
    let (_orders, mut listener) = watch::channel(Order::Continue);
    run(shell(script), &mut listener, |_| {})
        .await
        .expect("the shell runs")
}

fn failure(ended: Ended) -> Failure {
    match ended {
        Ended::Died(failure) => failure,
        Ended::Said(message) => panic!("it said {message:?}"),
    }
}

#[test]
fn a_kill_for_memory_explains_the_end_of_one_trainer() {
    // Seven kills before any of these trainers started.
    let mut explained = 0;
    assert!(!explains(&mut explained, 7, 7));
    assert!(explains(&mut explained, 7, 8), "the first of two");
    assert!(!explains(&mut explained, 7, 8), "the other one of two");
    // Two at once.
    assert!(explains(&mut explained, 8, 10));
    assert!(explains(&mut explained, 8, 10));
    assert!(!explains(&mut explained, 8, 10));
}

#[tokio::test]
async fn a_kill_from_outside_is_worth_another_attempt() {
    let failure = failure(ended("kill -9 $$").await);
    assert_eq!(
        (failure.code.as_str(), failure.retryable),
        ("node_lost", true)
    );
}

#[tokio::test]
async fn a_crash_is_told_with_its_last_line() {
    let script = "echo 'assertion failed' >&2; echo 'note: hidden' >&2; exit 101";
    let failure = failure(ended(script).await);
    assert_eq!(
        (failure.code.as_str(), failure.retryable),
        ("internal", false)
    );
    assert!(
        failure.evidence.contains("assertion failed"),
        "{}",
        failure.evidence
    );
}

#[tokio::test]
async fn messages_are_heard_in_order_and_the_last_word_counts() {
    let script = r#"
        echo '{"message":"running"}'
        echo 'no JSON'
        echo '{"message":"snapshot","step":3,"path":"a"}'
        echo '{"message":"stopped"}'"#;
    let (_orders, mut listener) = watch::channel(Order::Continue);
    let mut heard = Vec::new();
    let ended = run(shell(script), &mut listener, |message| heard.push(message))
        .await
        .unwrap();
    assert!(matches!(ended, Ended::Said(Message::Stopped)));
    assert!(
        matches!(
            heard[..],
            [Message::Running, Message::Snapshot { step: 3, .. }]
        ),
        "{heard:?}"
    );
}

#[tokio::test]
async fn an_order_ends_the_input_and_a_good_trainer_stops() {
    let (orders, mut listener) = watch::channel(Order::Continue);
    let script = r#"cat; echo '{"message":"stopped"}'"#;
    let task = tokio::spawn(async move { run(shell(script), &mut listener, |_| {}).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    orders.send_replace(Order::Cancel);
    assert!(matches!(
        task.await.unwrap().unwrap(),
        Ended::Said(Message::Stopped)
    ));
    assert!(asked.elapsed() < SHORT_GRACE);
}

#[tokio::test]
async fn a_deaf_trainer_is_killed_with_its_whole_group() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let script = format!(
        "trap '' TERM; sleep 60 & echo $! > {}; wait; sleep 60",
        pid_file.display()
    );
    let (orders, mut listener) = watch::channel(Order::Continue);
    orders.send_replace(Order::Fenced);
    run(shell(&script), &mut listener, |_| {}).await.unwrap();
    let pid: i32 = std::fs::read_to_string(pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let grandchild = rustix::process::Pid::from_raw(pid).unwrap();
    for _ in 0..100 {
        // A zombie that nobody collects yet counts as dead.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let dead = rustix::process::test_kill_process(grandchild).is_err() || state.contains(") Z");
        if dead {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the grandchild lives");
}
