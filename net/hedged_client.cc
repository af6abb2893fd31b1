// HedgedClient: carries out what net/hedge_policy decides. After client and hedge_policy; a thread
// of its own waits for the moments at which calls are late. One mutex guards the policy, the timers
// and the state of every call; no client is called and no callback made while it is held.
// Always holds: a call's callback comes once; what a second copy needs is owned by the call.
#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/hedge_policy.h"
#include "vecserve/hedge.h"

namespace vecserve {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kReplicasMax = 64;
constexpr double kBudgetMax = 0.5;
// Kinds of calls that differ in cost: few or many answers, with or without a filter.
constexpr std::uint32_t kCostClasses = 4;
constexpr std::uint32_t kManyAnswers = 64;
constexpr std::uint32_t kLooksInARow = 64;  // at calls whose time has come, under one lock

std::uint32_t cost_class_of(std::span<const Query> queries, const SearchOptions& options) {
  std::uint64_t answers = 0;
  bool filtered = !options.filter.empty();
  for (const Query& query : queries) {
    answers += query.k > 0 ? query.k : options.k;
    filtered = filtered || (query.filter && !query.filter->empty());
  }
  return (answers > kManyAnswers ? 1u : 0u) + (filtered ? 2u : 0u);
}

std::size_t bytes_of(const VectorView& vector) {
  switch (vector.type) {
    case ScalarType::f32:
      return std::size_t{vector.dim} * 4;
    case ScalarType::f16:
    case ScalarType::bf16:
      return std::size_t{vector.dim} * 2;
    case ScalarType::bit:
      return (std::size_t{vector.dim} + 7) / 8;
    default:
      return vector.dim;
  }
}

// A call and everything a second copy of it needs.
struct Running {
  std::string collection;
  std::vector<std::string> vectors;
  std::vector<std::string> filters;
  std::vector<Query> queries;  // views into the two above
  SearchOptions options;
  CallOptions call;
  Callback<SearchResult> done;
  SteadyClock::time_point called;
  // Guarded by State::mutex.
  net::HedgedCall decided;
  std::array<std::optional<CallId>, 3> ids;  // of the copies
  bool answered = false;

  void own(std::span<const Query> given) {
    vectors.reserve(given.size());
    filters.reserve(given.size());
    for (const Query& query : given) {
      Query copy = query;
      const auto* const data = static_cast<const char*>(query.vector.data);
      vectors.emplace_back(data == nullptr ? "" : std::string(data, bytes_of(query.vector)));
      copy.vector.data = vectors.back().data();
      filters.emplace_back(query.filter.value_or(std::string_view()));
      if (query.filter) copy.filter = filters.back();
      queries.push_back(copy);
    }
  }
};

net::ReplyTimes times_of(const CallInfo& info) {
  return {std::chrono::nanoseconds(info.server.queue_ns + info.server.batch_ns),
          std::chrono::nanoseconds(info.server.run_ns),
          std::max(1.0, static_cast<double>(info.server.batch_size))};
}

// How a copy that nobody waits for ended, as its server tells.
net::LoserState end_of(const Reply<SearchResult>& reply) {
  if (reply.ok()) return net::LoserState::answered;
  const bool ran = reply.info().server.batch_size > 0;
  return reply.status().code() == StatusCode::cancelled && !ran ? net::LoserState::queued
                                                                : net::LoserState::running;
}

bool has_open_copy(const net::HedgedCall& call) {
  return std::any_of(call.copies.begin(), call.copies.end(),
                     [](const net::HedgedCall::Copy& copy) { return copy.open; });
}

}  // namespace

Status HedgeOptions::validate() const {
  if (replicas.empty() || replicas.size() > kReplicasMax) {
    return Status::invalid_argument("replicas", "give 1 to 64 replicas");
  }
  if (!(budget >= 0.0 && budget <= kBudgetMax)) {
    return Status::invalid_argument("budget", "must be 0 to 0.5");
  }
  if (!(load_max >= 0.0 && load_max <= 1.0)) {
    return Status::invalid_argument("load_max", "must be 0 to 1");
  }
  if (target.count() <= 0) return Status::invalid_argument("target", "must be above 0");
  return {};
}

struct HedgedClient::State {
  using Call = std::shared_ptr<Running>;

  explicit State(const HedgeOptions& options)
      : policy([&] {
          net::HedgePolicyOptions policy_options;
          policy_options.replicas = static_cast<std::uint32_t>(options.replicas.size());
          policy_options.hedging = options.hedging;
          policy_options.budget = options.budget;
          policy_options.load_max = options.load_max;
          policy_options.delay_max = options.target / 2;
          policy_options.cost_classes = kCostClasses;
          policy_options.seed = options.seed;
          return policy_options;
        }()) {}
  ~State() { close(); }

  void close() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    if (timer.joinable()) timer.join();
    for (Client& client : clients) client.close();
  }

  void begin(const Call& call, std::uint32_t cost_class) {
    bool first = false;
    {
      const std::lock_guard lock(mutex);
      call->decided = policy.begin(call->called, cost_class, true);
      first = plan_timer(call);
    }
    // Most calls come after one that is looked at sooner, and are answered before their own turn:
    // waking the timer thread for each would cost more than the call.
    if (first) wake.notify_one();
    send(call, 0);
  }

  // With the mutex held. True: nothing is due before this call.
  bool plan_timer(const Call& call) {
    if (!call->decided.hedge_at) return false;
    const auto planned = timers.emplace(*call->decided.hedge_at, call);
    return planned == timers.begin();
  }

  void send(const Call& call, std::uint32_t copy) {
    CallOptions options = call->call;
    options.attempts_max = 1;  // retries come out of the policy's budget
    if (copy > 0 && options.timeout) {
      const auto passed =
          std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - call->called);
      options.timeout = std::max(*options.timeout - passed, std::chrono::microseconds(1));
    }
    const std::uint32_t replica = call->decided.copies[copy].replica;
    const CallId id = clients[replica].async_search(
        call->collection, call->queries, call->options, options,
        [this, call, copy](Reply<SearchResult> reply) { finished(call, copy, std::move(reply)); });
    // What happened to the call while its number was not known yet.
    std::optional<Recall> recall;
    {
      const std::lock_guard lock(mutex);
      call->ids[copy] = id;
      if (call->answered) {
        recall = Recall::always;
      } else if (copy == 0 && (call->decided.copy_count > 1 || call->decided.moving)) {
        recall = Recall::if_waiting;
      }
    }
    if (recall) clients[replica].recall(id, *recall);
  }

  // On the thread of the client that has the reply.
  void finished(const Call& call, std::uint32_t copy, Reply<SearchResult> reply) {
    std::vector<std::pair<std::uint32_t, CallId>> losers;
    std::optional<std::uint32_t> next;
    {
      const std::lock_guard lock(mutex);
      const auto now = SteadyClock::now();
      if (call->answered) return policy.loser_ended(call->decided, copy, now, end_of(reply));
      if (reply.ok()) {
        call->answered = true;
        policy.answered(call->decided, copy, now, times_of(reply.info()));
        losers = give_up_others(*call, copy, now);
      } else {
        end_copy(*call, copy, now, reply);
        // Another copy may still answer; when there is none, another replica may.
        if (has_open_copy(call->decided)) return;
        if (!stopping && worth_retrying(*call, reply.status().code()) &&
            policy.retry(call->decided, now)) {
          next = call->decided.copy_count - 1;
        }
        call->answered = !next;
      }
    }
    for (const auto& [replica, id] : losers) clients[replica].recall(id, Recall::always);
    if (next) return send(call, *next);
    CallInfo info = reply.info();
    info.called = call->called;
    call->done(Reply<SearchResult>(static_cast<Result<SearchResult>&&>(reply), std::move(info)));
  }

  // ---- with the mutex held ----------------------------------------------------------------------

  std::vector<std::pair<std::uint32_t, CallId>> give_up_others(Running& call, std::uint32_t winner,
                                                               SteadyClock::time_point now) {
    std::vector<std::pair<std::uint32_t, CallId>> losers;
    for (std::uint32_t other = 0; other < call.decided.copy_count; ++other) {
      if (other == winner || !call.decided.copies[other].open) continue;
      policy.given_up(call.decided, other, now);
      if (call.ids[other])
        losers.emplace_back(call.decided.copies[other].replica, *call.ids[other]);
    }
    return losers;
  }

  // A copy of an open call ended without an answer.
  void end_copy(Running& call, std::uint32_t copy, SteadyClock::time_point now,
                const Reply<SearchResult>& reply) {
    const StatusCode code = reply.status().code();
    if (code == StatusCode::cancelled && (call.decided.copy_count > 1 || call.decided.moving)) {
      policy.loser_ended(call.decided, copy, now, end_of(reply));  // taken back
    } else if (code == StatusCode::resource_exhausted) {
      policy.refused(call.decided, copy, now);
    } else {
      policy.failed(call.decided, copy);
    }
  }

  // A lost replica is; and what was taken back from one replica for the sake of another that failed
  // may have another try.
  static bool worth_retrying(const Running& call, StatusCode code) {
    if (code == StatusCode::unavailable) return true;
    return call.decided.taken_back &&
           (code == StatusCode::resource_exhausted || code == StatusCode::cancelled);
  }

  // The timer thread: at each due moment asks the policy, and sends the second copy.
  void run() {
    std::unique_lock lock(mutex);
    std::uint32_t looks = 0;  // since the lock was last let go
    while (!stopping) {
      if (++looks > kLooksInARow) {  // answers want it too
        looks = 0;
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
        continue;
      }
      if (timers.empty()) {
        wake.wait(lock);
        continue;
      }
      const auto due = timers.begin()->first;
      Call call = timers.begin()->second.lock();
      // A call that was answered needs no look: without it, the thread sleeps until the first that
      // does.
      const bool over = call == nullptr || call->answered;
      if (!over && SteadyClock::now() < due) {
        call.reset();  // it is not to outlive its answer here
        wake.wait_until(lock, due);
        continue;
      }
      timers.erase(timers.begin());
      if (over) continue;
      const net::HedgeStep step = policy.hedge(call->decided, SteadyClock::now());
      plan_timer(call);
      if (step == net::HedgeStep::wait) continue;
      const std::uint32_t first = call->decided.copies[0].replica;
      const std::optional<CallId> first_id = call->ids[0];
      lock.unlock();
      if (step == net::HedgeStep::send) send(call, 1);
      if (first_id) clients[first].recall(*first_id, Recall::if_waiting);
      lock.lock();
    }
  }

  std::vector<Client> clients;
  std::mutex mutex;
  std::condition_variable wake;
  net::HedgePolicy policy;
  std::multimap<SteadyClock::time_point, std::weak_ptr<Running>> timers;  // of open calls only
  bool stopping = false;
  std::thread timer;
};

HedgedClient::HedgedClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HedgedClient::HedgedClient(HedgedClient&&) noexcept = default;
HedgedClient& HedgedClient::operator=(HedgedClient&&) noexcept = default;
HedgedClient::~HedgedClient() = default;

Result<HedgedClient> HedgedClient::connect(const HedgeOptions& options) {
  VECSERVE_TRY(options.validate());
  auto state = std::make_unique<State>(options);
  for (const ClientOptions& replica : options.replicas) {
    Result<Client> client = Client::connect(replica);
    if (!client.ok()) return client.status();
    state->clients.push_back(*std::move(client));
  }
  State* const raw = state.get();
  state->timer = std::thread([raw] { raw->run(); });
  return HedgedClient(std::move(state));
}

void HedgedClient::close() {
  if (state_ != nullptr) state_->close();
}

void HedgedClient::async_search(std::string_view collection, std::span<const Query> queries,
                                const SearchOptions& options, const CallOptions& call,
                                Callback<SearchResult> done) {
  auto running = std::make_shared<Running>();
  running->collection = collection;
  running->own(queries);
  running->options = options;
  running->call = call;
  running->done = std::move(done);
  running->called = SteadyClock::now();
  state_->begin(running, cost_class_of(queries, options));
}

Reply<SearchResult> HedgedClient::search(std::string_view collection,
                                         std::span<const Query> queries,
                                         const SearchOptions& options, const CallOptions& call) {
  auto [done, reply] = promised<SearchResult>();
  async_search(collection, queries, options, call, std::move(done));
  return reply.get();
}

Client& HedgedClient::replica(std::size_t index) {
  return state_->clients[index];
}

std::size_t HedgedClient::replica_count() const {
  return state_->clients.size();
}

HedgeStats HedgedClient::stats() const {
  const std::lock_guard lock(state_->mutex);
  const net::HedgePolicyStats& policy = state_->policy.stats();
  HedgeStats stats;
  stats.calls = policy.calls;
  stats.hedges = policy.hedges;
  stats.wins = policy.hedge_wins;
  stats.retries = policy.retries;
  stats.cancelled_queued = policy.cancelled_queued;
  stats.cancelled_running = policy.cancelled_running;
  stats.wasted = policy.wasted;
  stats.no_budget = policy.no_budget;
  stats.loaded = policy.loaded;
  stats.learning = policy.learning;
  stats.delay = state_->policy.delay(0).value_or(std::chrono::nanoseconds(0));
  stats.load = state_->policy.load();
  return stats;
}

}  // namespace vecserve
