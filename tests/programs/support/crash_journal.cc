// Applying operations to the model, and the comparison. A thread's rows after a kill must equal
// either its acknowledged rows or those with its one pending operation applied; anything else is
// sorted into kinds. Comes after crash_events; main thread of crash_loop.
#include "tests/programs/support/crash_journal.h"

#include <algorithm>

#include "vecserve/status.h"

namespace vecserve::test {
namespace {

struct Effect {
  StatusCode code = StatusCode::ok;
  std::uint64_t affected = 0;
};

template <typename F>
void for_each_key(const Event& event, F&& visit) {
  for (std::uint64_t i = 0; i < event.count; ++i)
    visit(ThreadRows::Key{event.collection, event.first_id + i});
}

std::uint64_t present(const ThreadRows& rows, const Event& event) {
  std::uint64_t count = 0;
  for_each_key(event, [&](const ThreadRows::Key& key) { count += rows.rows.count(key); });
  return count;
}

std::uint64_t erase_group(ThreadRows& rows, std::uint8_t group) {
  return std::erase_if(rows.rows, [group](const auto& entry) {
    return entry.first.first == kMainCollection && entry.first.second % kGroups == group;
  });
}

// Does to the model what the call does to the database, and returns what the call must say.
Effect apply(ThreadRows& rows, const Event& event) {
  switch (event.operation) {
    case Operation::insert:
      if (present(rows, event) > 0) return {StatusCode::already_exists, 0};
      [[fallthrough]];
    case Operation::upsert:
      for_each_key(event, [&](const ThreadRows::Key& key) {
        rows.rows[key] = {event.version, event.version};
      });
      return {StatusCode::ok, event.count};
    case Operation::update_payload:
      if (present(rows, event) < event.count) return {StatusCode::not_found, 0};
      for_each_key(event,
                   [&](const ThreadRows::Key& key) { rows.rows[key].payload = event.version; });
      return {StatusCode::ok, event.count};
    case Operation::erase: {
      const std::uint64_t erased = present(rows, event);
      for_each_key(event, [&](const ThreadRows::Key& key) { rows.rows.erase(key); });
      return {StatusCode::ok, erased};
    }
    case Operation::erase_group:
      return {StatusCode::ok, erase_group(rows, event.group)};
    case Operation::create_side:
      rows.side_exists = true;
      return {};
    case Operation::drop_side:
      rows.side_exists = false;
      std::erase_if(rows.rows,
                    [](const auto& entry) { return entry.first.first == kSideCollection; });
      return {};
    case Operation::checkpoint:
      return {};
  }
  return {};
}

const CodedVersions* find_row(const ThreadRows& rows, const ThreadRows::Key& key) {
  const auto found = rows.rows.find(key);
  return found == rows.rows.end() ? nullptr : &found->second;
}

bool same(const CodedVersions* a, const CodedVersions* b) {
  return a == nullptr || b == nullptr ? a == b : *a == *b;
}

}  // namespace

CrashDump read_dump(std::span<const Event> events, std::uint32_t threads) {
  CrashDump dump;
  dump.threads.resize(threads);
  for (const Event& event : events) {
    switch (event.kind) {
      case EventKind::collection:
        if (event.collection == kSideCollection) dump.threads[0].side_exists = true;
        break;
      case EventKind::row: {
        const std::uint64_t owner = event.first_id / kOwnerSpan;
        if (owner >= threads) {
          ++dump.torn;
        } else {
          dump.threads[owner].rows[{event.collection, event.first_id}] = {event.version,
                                                                          event.payload_version};
        }
        break;
      }
      case EventKind::torn:
        ++dump.torn;
        break;
      case EventKind::wrong_search:
      case EventKind::wrong_count:
        ++dump.wrong;
        break;
      case EventKind::graph:
        dump.graph = true;
        dump.restored = event.count > 0;
        break;
      case EventKind::done:
        dump.done = true;
        break;
      default:
        break;
    }
  }
  return dump;
}

void CrashJournal::add(const Event& event) {
  if (event.thread >= threads_.size()) return;
  Thread& thread = threads_[event.thread];
  if (event.kind == EventKind::reply) {
    add_reply(thread, event);
    return;
  }
  if (event.kind != EventKind::intent) return;
  version_max_ = std::max(version_max_, event.version);
  thread.pending = event;
  if (event.operation == Operation::checkpoint) {
    Checkpoint& checkpoint = checkpoints_[event.version];
    for (const Thread& other : threads_) {
      checkpoint.before.push_back(other.acked);
      if (other.pending) touch(checkpoint, *other.pending);
    }
    return;
  }
  for (auto& [version, checkpoint] : checkpoints_) {
    if (!checkpoint.made) touch(checkpoint, event);
  }
  if (event.operation <= Operation::update_payload) {
    for_each_key(event, [&](const ThreadRows::Key& key) {
      std::uint32_t& highest = attempted_[key];
      highest = std::max(highest, event.version);
    });
  }
}

void CrashJournal::touch(Checkpoint& checkpoint, const Event& event) {
  switch (event.operation) {
    case Operation::checkpoint:
      return;
    case Operation::create_side:
    case Operation::drop_side:
      checkpoint.side_touched = true;
      return;
    default:
      break;
  }
  for_each_key(event, [&](const ThreadRows::Key& key) {
    if (event.operation != Operation::erase_group || key.second % kGroups == event.group) {
      checkpoint.touched.insert(key);
    }
  });
}

void CrashJournal::add_reply(Thread& thread, const Event& event) {
  ++findings_.acked;
  thread.pending.reset();
  if (event.operation == Operation::checkpoint && event.code == 0) {
    checkpoints_[event.version].made = true;
  }
  const Effect expected = apply(thread.acked, event);
  if (event.code != static_cast<std::uint8_t>(expected.code) ||
      (event.code == 0 && event.affected != expected.affected)) {
    ++findings_.wrong_replies;
  }
}

std::size_t CrashJournal::in_flight() const {
  return static_cast<std::size_t>(std::count_if(
      threads_.begin(), threads_.end(), [](const Thread& t) { return t.pending.has_value(); }));
}

std::vector<std::uint32_t> CrashJournal::checkpoints() const {
  std::vector<std::uint32_t> made;
  for (const auto& [version, checkpoint] : checkpoints_) {
    if (checkpoint.made) made.push_back(version);
  }
  return made;
}

void CrashJournal::judge_checkpoint(std::uint32_t version, const CrashDump& dump) {
  ++findings_.checkpoints;
  findings_.phantom += dump.torn;
  findings_.wrong_searches += dump.wrong;
  const Checkpoint& checkpoint = checkpoints_[version];
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    const ThreadRows& before = checkpoint.before[i];
    const ThreadRows& found = dump.threads[i];
    std::set<ThreadRows::Key> keys;
    for (const ThreadRows* rows : {&before, &found}) {
      for (const auto& [key, versions] : rows->rows) keys.insert(key);
    }
    for (const ThreadRows::Key& key : keys) {
      if (checkpoint.touched.contains(key)) continue;
      if (checkpoint.side_touched && key.first == kSideCollection) continue;
      const CodedVersions* const expected = find_row(before, key);
      judge_row(key, expected, expected, find_row(found, key));
    }
  }
}

void CrashJournal::judge(const CrashDump& dump) {
  findings_.phantom += dump.torn;
  findings_.wrong_searches += dump.wrong;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    judge_thread(threads_[i], dump.threads[i]);
    threads_[i] = Thread{dump.threads[i], std::nullopt};
  }
  checkpoints_.clear();
}

void CrashJournal::judge_thread(const Thread& thread, const ThreadRows& found) {
  if (found == thread.acked) return;
  ThreadRows with = thread.acked;
  if (thread.pending) apply(with, *thread.pending);
  if (found == with) return;

  const std::uint64_t before = findings_.lost + findings_.resurrected + findings_.phantom;
  if (found.side_exists != thread.acked.side_exists && found.side_exists != with.side_exists) {
    ++(found.side_exists ? findings_.resurrected : findings_.lost);
  }
  std::set<ThreadRows::Key> keys;
  for (const ThreadRows* rows : {&thread.acked, &std::as_const(with), &found}) {
    for (const auto& [key, versions] : rows->rows) keys.insert(key);
  }
  for (const ThreadRows::Key& key : keys) {
    judge_row(key, find_row(thread.acked, key), find_row(with, key), find_row(found, key));
  }
  // Every single row is as one of the two states has it, yet the whole is neither: a part was
  // applied.
  if (before == findings_.lost + findings_.resurrected + findings_.phantom) {
    ++findings_.half_batches;
  }
}

void CrashJournal::judge_row(const ThreadRows::Key& key, const CodedVersions* without,
                             const CodedVersions* with, const CodedVersions* found) {
  if (same(found, without) || same(found, with)) return;
  if (found == nullptr) {
    ++findings_.lost;
    return;
  }
  const auto attempted = attempted_.find(key);
  const std::uint32_t newest = std::max(found->vector, found->payload);
  if (attempted == attempted_.end() || newest > attempted->second) {
    ++findings_.phantom;
  } else if (without == nullptr) {
    ++findings_.resurrected;
  } else {
    ++findings_.lost;
  }
}

}  // namespace vecserve::test
