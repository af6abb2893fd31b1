// See client_writer.h.
// The operations of crash_worker, through a client, without the second collection. One thread each.
// Always holds: the journal hears of a call before it is sent, and of its reply after it returned.
#include "tests/programs/support/client_writer.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "tests/programs/support/crash_worker.h"

namespace vecserve::test {

ClientWriter::ClientWriter(Client& client, WriterBook& book, std::uint32_t thread,
                           std::uint64_t seed)
    : client_(client), book_(book), thread_(thread), dice_(seed, thread) {
  runner_ = std::thread([this] { run(); });
}

ClientWriter::~ClientWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  runner_.join();
}

void ClientWriter::ask_to_pause() {
  {
    const std::lock_guard lock(mutex_);
    pause_ = true;
  }
  changed_.notify_all();
}

void ClientWriter::wait_paused() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return paused_; });
}

void ClientWriter::resume() {
  {
    const std::lock_guard lock(mutex_);
    pause_ = false;
    open_outcome_ = false;
  }
  changed_.notify_all();
}

void ClientWriter::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || pause_ || !open_outcome_; });
      if (pause_) {
        paused_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return stop_ || !pause_; });
        paused_ = false;
      }
      if (stop_) return;
    }
    step();
  }
}

void ClientWriter::step() {
  const std::uint64_t roll = dice_.below(100);
  if (roll < 40) {
    write(Operation::upsert, dice_.percent(60) ? 1 : dice_.between(2, 100));
  } else if (roll < 60) {
    write(Operation::insert, dice_.between(1, 3));
  } else if (roll < 72) {
    write(Operation::update_payload, dice_.between(1, 3));
  } else if (roll < 96) {
    erase(dice_.between(1, 20));
  } else {
    erase_group();
  }
}

Event ClientWriter::intent(Operation operation, std::uint64_t count) {
  Event event;
  event.kind = EventKind::intent;
  event.operation = operation;
  event.thread = static_cast<std::uint8_t>(thread_);
  event.count = std::min(count, kIdsPerThread);
  event.first_id = thread_ * kOwnerSpan + dice_.below(kIdsPerThread - event.count + 1);
  const std::lock_guard lock(book_.mutex);
  event.version = book_.version_next++;
  return event;
}

void ClientWriter::begin(const Event& event) {
  const std::lock_guard lock(book_.mutex);
  book_.journal.add(event);
  calling_.store(true, std::memory_order_release);
}

void ClientWriter::end(Event event, const Reply<WriteResult>& reply) {
  calling_.store(false, std::memory_order_release);
  const StatusCode code = reply.status().code();
  const bool open = code == StatusCode::unavailable || code == StatusCode::deadline_exceeded ||
                    code == StatusCode::cancelled;
  const std::lock_guard lock(book_.mutex);
  if (reply.info().attempts > 1) ++book_.sent_again;
  if (open) {
    ++book_.unknown;
    const std::lock_guard own(mutex_);
    open_outcome_ = true;
    return;
  }
  if (!reply.ok() && code != StatusCode::already_exists && code != StatusCode::not_found) {
    std::fprintf(stderr, "writer %u: %s\n", thread_, reply.status().to_string().c_str());
    ++book_.unexpected;
  }
  event.kind = EventKind::reply;
  event.code = static_cast<std::uint8_t>(code);
  if (reply.ok()) {
    event.affected = reply->rows;
    event.sequence = reply->sequence;
    if (reply->replayed) ++book_.replayed;
  }
  ++book_.replies;
  book_.journal.add(event);
}

void ClientWriter::write(Operation operation, std::uint64_t count) {
  const Event event = intent(operation, count);
  batch_.clear();
  for (std::uint64_t id = event.first_id; id < event.first_id + event.count; ++id) {
    if (operation == Operation::update_payload) {
      batch_.add_payload_only(id, event.version);
    } else {
      batch_.add(id, event.version);
    }
  }
  const std::vector<RowInput>& rows = batch_.inputs();
  begin(event);
  switch (operation) {
    case Operation::insert:
      end(event, client_.insert(kMainName, rows));
      break;
    case Operation::update_payload:
      end(event, client_.update(kMainName, rows));
      break;
    default:
      end(event, client_.upsert(kMainName, rows));
      break;
  }
}

void ClientWriter::erase(std::uint64_t count) {
  const Event event = intent(Operation::erase, count);
  std::vector<RowId> ids;
  for (std::uint64_t id = event.first_id; id < event.first_id + event.count; ++id) {
    ids.emplace_back(id);
  }
  begin(event);
  end(event, client_.erase(kMainName, ids));
}

void ClientWriter::erase_group() {
  Event event = intent(Operation::erase_group, kIdsPerThread);
  event.group = static_cast<std::uint8_t>(dice_.below(kGroups));
  begin(event);
  end(event, client_.erase_where(kMainName, ".owner == " + std::to_string(thread_) +
                                                " and .group == " + std::to_string(event.group)));
}

}  // namespace vecserve::test
