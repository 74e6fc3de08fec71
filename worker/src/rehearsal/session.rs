//! The loop: messages are queued, turns are run, requests are answered between two steps of work.
//!
//! Every tool call is a boundary: what came in while it ran is looked at before its result goes out.
//! A message of priority `next` is folded into the turn right after the result; `later` waits for a
//! turn of its own; `now` and an interrupt abort the turn.

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use serde_json::{Value, json};

use super::input::{self, Control, Heard, Input, InputError, Message, Priority};
use super::lines::{Call, End, Lines, TurnLog, fresh};
use super::prompt::Job;
use super::work::Work;

/// Why a session ends before its input does.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("{0}")]
    Input(InputError),
    #[error("{0}")]
    Stdin(String),
    #[error("stdout cannot be written: {0}")]
    Stdout(io::Error),
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        Self::Stdout(error)
    }
}

/// One conversation.
pub(super) struct Session<W> {
    lines: Lines<W>,
    input: Receiver<Heard>,
    queue: VecDeque<Message>,
    seen: HashSet<String>,
    /// The last phase that was asked for: what a repair repeats.
    last_job: Option<Job>,
    busy: bool,
    interrupted: bool,
    ended: bool,
    leaving: bool,
    last_turn_failed: bool,
}

impl<W: Write> Session<W> {
    pub(super) fn new(lines: Lines<W>, input: Receiver<Heard>) -> Self {
        Self {
            lines,
            input,
            queue: VecDeque::new(),
            seen: HashSet::new(),
            last_job: None,
            busy: false,
            interrupted: false,
            ended: false,
            leaving: false,
            last_turn_failed: false,
        }
    }

    /// Works until the input has ended and everything queued is done. The exit code is the last
    /// turn's, as with the CLI.
    pub(super) fn run(mut self) -> Result<ExitCode, SessionError> {
        while !self.leaving {
            self.listen()?;
            let batch = if self.leaving { Vec::new() } else { self.next_batch() };
            if !batch.is_empty() {
                self.turn(batch)?;
            } else if self.ended || self.leaving {
                break;
            } else {
                match self.input.recv() {
                    Ok(heard) => self.hear(heard)?,
                    Err(_) => self.ended = true,
                }
            }
        }
        Ok(if self.last_turn_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Takes in what has arrived, without waiting.
    fn listen(&mut self) -> Result<(), SessionError> {
        loop {
            match self.input.try_recv() {
                Ok(heard) => self.hear(heard)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    return Ok(());
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<(), SessionError> {
        let line = match heard {
            Heard::Line(line) => line,
            Heard::Broken(why) => return Err(SessionError::Stdin(why)),
        };
        match input::understand(&line).map_err(SessionError::Input)? {
            Input::Nothing => Ok(()),
            Input::User(message) => self.enqueue(message),
            Input::Control { request_id, control } => self.control(&request_id, control),
        }
    }

    fn enqueue(&mut self, message: Message) -> Result<(), SessionError> {
        let uuid = message.uuid.as_deref();
        if uuid.is_some_and(|uuid| self.seen.contains(uuid)) {
            // Said twice is said once: acknowledged, not run again.
            self.lines.replay(&message)?;
            return Ok(self.lines.lifecycle(uuid, "completed")?);
        }
        self.seen.extend(message.uuid.clone());
        self.lines.lifecycle(uuid, "queued")?;
        self.queue.push_back(message);
        Ok(())
    }

    fn control(&mut self, request_id: &str, control: Control) -> Result<(), SessionError> {
        let answer = match control {
            Control::Initialize => Ok(self.lines.introduction(self.busy)),
            Control::Interrupt { cancel_queued } => {
                self.interrupted = self.busy;
                let queued: Vec<_> =
                    self.queue.iter().filter_map(|message| message.uuid.clone()).collect();
                if cancel_queued {
                    self.queue.clear();
                    for uuid in &queued {
                        self.lines.lifecycle(Some(uuid), "cancelled")?;
                    }
                    Ok(json!({ "still_queued": [], "cancelled": queued }))
                } else {
                    Ok(json!({ "still_queued": queued }))
                }
            }
            Control::CancelMessage { uuid } => {
                let wanted = |message: &Message| message.uuid.as_ref() == Some(&uuid);
                match self.queue.iter().position(wanted) {
                    Some(position) => {
                        self.queue.remove(position);
                        self.lines.lifecycle(Some(&uuid), "cancelled")?;
                        Ok(json!({ "cancelled": true, "message_uuid": uuid }))
                    }
                    None => Ok(json!({ "cancelled": false })),
                }
            }
            Control::EndSession => {
                self.interrupted = self.busy;
                self.leaving = true;
                Ok(json!({}))
            }
            Control::Unknown { subtype } => Err((
                "unsupported_request",
                format!("Unsupported control request subtype: {subtype}"),
            )),
        };
        Ok(self.lines.answer(request_id, answer)?)
    }

    /// The messages of the next turn: those that said `now`, else all `next`, else all `later`.
    fn next_batch(&mut self) -> Vec<Message> {
        for priority in [Priority::Now, Priority::Next, Priority::Later] {
            let batch = self.take(priority);
            if !batch.is_empty() {
                return batch;
            }
        }
        Vec::new()
    }

    fn take(&mut self, priority: Priority) -> Vec<Message> {
        let (taken, left) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|message: &Message| message.priority == priority);
        self.queue = left;
        Vec::from(taken)
    }

    fn turn(&mut self, batch: Vec<Message>) -> Result<(), SessionError> {
        self.busy = true;
        let uuids: Vec<String> = batch.iter().filter_map(|message| message.uuid.clone()).collect();
        let firsts = uuids.clone();
        for uuid in &uuids {
            self.lines.lifecycle(Some(uuid), "started")?;
        }
        self.lines.init(&uuids)?;
        for message in &batch {
            self.lines.replay(message)?;
        }
        let mut log = TurnLog { uuids, began: Instant::now(), num_turns: 1 };
        let work = Work::plan(&batch, &mut self.last_job, &self.lines.flags, self.lines.root());
        let mut folded = Vec::new();
        let end = self.work(work, &mut log, &mut folded)?;
        self.busy = false;
        self.interrupted = false;
        let settled = if matches!(end, End::AbortedByMessage | End::Interrupted) {
            "cancelled"
        } else {
            "completed"
        };
        self.lines.result(&end, &log, self.queue.len())?;
        for uuid in firsts.iter().chain(&folded) {
            self.lines.lifecycle(Some(uuid), settled)?;
        }
        self.last_turn_failed = end.is_error();
        Ok(())
    }

    /// Does the work of a turn. `folded` is left with the messages that were taken into the turn and
    /// not yet acknowledged as completed.
    fn work(
        &mut self,
        mut work: Work,
        log: &mut TurnLog,
        folded: &mut Vec<String>,
    ) -> Result<End, SessionError> {
        let mut model_calls = 0;
        let mut notice = work.opening().to_owned();
        let mut spoken_to = false;
        let max = self.lines.flags.max_turns;
        while let Some((name, input)) = work.next_call() {
            if max.is_some_and(|max| model_calls + 1 >= max) {
                // The last model call is kept for the answer: the rest is left unread.
                break;
            }
            model_calls += 1;
            let message = fresh("msg");
            self.lines.text(&message, &notice, &log.uuids)?;
            let call = Call { id: fresh("toolu"), name, input };
            self.lines.tool_use(&message, &call)?;
            for uuid in folded.drain(..) {
                self.lines.lifecycle(Some(&uuid), "completed")?;
            }
            let found = work.perform();
            self.listen()?;
            log.num_turns += 1;
            if self.interrupted {
                self.lines.interrupted(&call)?;
                log.num_turns += 1;
                return Ok(End::Interrupted);
            }
            if self.queue.iter().any(|message| message.priority == Priority::Now) {
                let aborted = "<error>Command was aborted before completion</error>";
                self.lines.tool_result(&call, aborted, true, &json!({ "interrupted": true }))?;
                return Ok(End::AbortedByMessage);
            }
            self.lines.tool_result(&call, &found.text, found.is_error, &found.detail)?;
            notice = work.remark();
            let heard = self.take(Priority::Next);
            spoken_to = !heard.is_empty();
            if spoken_to {
                notice = heard.iter().map(seen).collect::<Vec<_>>().join("\n");
            }
            for message in heard {
                self.lines.replay(&message)?;
                self.lines.lifecycle(message.uuid.as_deref(), "started")?;
                log.uuids.extend(message.uuid.clone());
                folded.extend(message.uuid);
            }
        }
        let answer = work.answer();
        let message = fresh("msg");
        let said =
            if spoken_to { format!("{notice}\n\n{}", answer.text) } else { answer.text.clone() };
        self.lines.text(&message, &said, &log.uuids)?;
        for uuid in folded.drain(..) {
            self.lines.lifecycle(Some(&uuid), "completed")?;
        }
        let Some(output) = answer.output.filter(|_| self.lines.flags.structured) else {
            return Ok(End::Completed { text: answer.text, output: None });
        };
        self.hand_over(&message, &output)?;
        log.num_turns += 1;
        Ok(End::Completed { text: answer.text, output: Some(output) })
    }

    fn hand_over(&mut self, message: &str, output: &Value) -> Result<(), SessionError> {
        const TAKEN: &str = "Structured output provided successfully";
        let call = Call { id: fresh("toolu"), name: "StructuredOutput", input: output.clone() };
        self.lines.tool_use(message, &call)?;
        Ok(self.lines.tool_result(&call, TAKEN, false, &json!(TAKEN))?)
    }
}

/// What the agent says to a message in the middle of its work.
fn seen(message: &Message) -> String {
    let start: String = message.text.chars().take(200).collect();
    format!(
        "I have seen your message (\"{start}\"). This is a rehearsal without a model, so it changes \
         nothing in what I produce."
    )
}
