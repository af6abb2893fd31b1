// An event loop over arrivals, hedge timers, servers and their replies. A server is a queue and one
// call in service; a stall makes the call in service take longer by what is left of it. After
// net/hedge_policy; one heap per simulation.
// Always holds: events of one moment happen in the order in which they were made.
#include "tools/hedge/simulation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <iterator>
#include <queue>
#include <random>

namespace vecserve::hedge {
namespace {

enum class Kind : std::uint8_t {
  arrival,
  timer,
  reach_server,
  served,
  reply,
  reach_cancel,
  reach_recall,
  loser_ended
};

struct Event {
  double at_us;
  std::uint64_t order;
  Kind kind;
  std::uint32_t call;
  std::uint32_t copy;
  bool operator>(const Event& other) const {
    return at_us != other.at_us ? at_us > other.at_us : order > other.order;
  }
};

enum class CopyState : std::uint8_t { none, travelling, queued, running, done, cancelled };

struct Call {
  net::HedgedCall decided;
  double arrival_us = 0.0;
  double service_us[2] = {0.0, 0.0};
  double waited_us[2] = {0.0, 0.0};
  double queued_at_us[2] = {0.0, 0.0};
  CopyState state[2] = {CopyState::none, CopyState::none};
  double started_us[2] = {0.0, 0.0};
  double finish_us[2] = {0.0, 0.0};  // as it stands: a cancel brings it forward
  bool given_up[2] = {false, false};
  bool answered = false;
};

struct Server {
  std::deque<std::pair<std::uint32_t, std::uint32_t>> queue;
  bool busy = false;
  std::vector<std::pair<double, double>> stalls;  // from, to; rising
  std::size_t next_stall = 0;
};

net::TimePoint moment(double us) {
  return net::TimePoint(net::Duration(std::llround(us * 1e3)));
}

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options)
      : options_(options),
        policy_([&] {
          net::HedgePolicyOptions policy = options.policy;
          policy.replicas = options.replicas;
          policy.seed = options.seed * 7 + 1;
          return policy;
        }()),
        servers_(options.replicas),
        calls_(options.calls + options.warm_up) {
    plan();
  }

  SimulationResult run() {
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_us_ = event.at_us;
      handle(event);
    }
    result_.elapsed_s = now_us_ * 1e-6;
    result_.stats = policy_.stats();
    result_.load_seen = policy_.load();
    return std::move(result_);
  }

 private:
  // Arrivals, service times and stalls: all that chance decides, before anything happens.
  void plan() {
    std::mt19937_64 random(options_.seed);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform(0.0, 1.0);
    const double rate_per_us =
        options_.load * static_cast<double>(options_.replicas) / mean_service_us(options_);
    std::exponential_distribution<double> gap(rate_per_us);
    double at_us = 0.0;
    for (std::uint32_t i = 0; i < calls_.size(); ++i) {
      at_us += gap(random);
      calls_[i].arrival_us = at_us;
      for (double& service : calls_[i].service_us) {
        service = options_.service_us * std::exp(options_.service_sigma * normal(random));
        if (uniform(random) < options_.slow_share) service *= options_.slow_factor;
      }
      push(at_us, Kind::arrival, i, 0);
    }
    for (Server& server : servers_) {
      if (options_.stall_every_s <= 0.0) continue;
      std::exponential_distribution<double> pause(1.0 / (options_.stall_every_s * 1e6));
      for (double from = pause(random); from < at_us; from += pause(random)) {
        server.stalls.emplace_back(from, from + options_.stall_ms * 1e3);
        from += options_.stall_ms * 1e3;
      }
    }
    for (Call& call : calls_) {
      const double share = call.arrival_us / at_us;
      if (share < options_.all_slow_from || share >= options_.all_slow_until) continue;
      for (double& service : call.service_us) service *= options_.all_slow_factor;
    }
  }

  void push(double at_us, Kind kind, std::uint32_t call, std::uint32_t copy) {
    events_.push({at_us, order_++, kind, call, copy});
  }

  void handle(const Event& event) {
    switch (event.kind) {
      case Kind::arrival:
        return arrive(event.call);
      case Kind::timer:
        return hedge(event.call);
      case Kind::reach_server:
        return reach_server(event.call, event.copy);
      case Kind::served:
        return served(event.call, event.copy);
      case Kind::reply:
        return reply(event.call, event.copy);
      case Kind::reach_cancel:
        return reach_cancel(event.call, event.copy);
      case Kind::reach_recall:
        return reach_recall(event.call, event.copy);
      case Kind::loser_ended:
        return loser_ended(event.call, event.copy);
    }
  }

  void send(std::uint32_t index, std::uint32_t copy) {
    calls_[index].state[copy] = CopyState::travelling;
    push(now_us_ + options_.network_us, Kind::reach_server, index, copy);
  }

  void plan_timer(std::uint32_t index) {
    const std::optional<net::TimePoint>& at = calls_[index].decided.hedge_at;
    if (!at) return;
    push(static_cast<double>(at->time_since_epoch().count()) * 1e-3, Kind::timer, index, 0);
  }

  void arrive(std::uint32_t index) {
    calls_[index].decided = policy_.begin(moment(now_us_), 0, true);
    send(index, 0);
    plan_timer(index);
  }

  void hedge(std::uint32_t index) {
    Call& call = calls_[index];
    if (call.answered) return;
    const net::HedgeStep step = policy_.hedge(call.decided, moment(now_us_));
    plan_timer(index);
    if (step == net::HedgeStep::wait) return;
    if (step == net::HedgeStep::send) send(index, 1);
    push(now_us_ + options_.network_us, Kind::reach_recall, index, 0);
  }

  Server& server_of(const Call& call, std::uint32_t copy) {
    return servers_[call.decided.copies[copy].replica];
  }

  void reach_server(std::uint32_t index, std::uint32_t copy) {
    Call& call = calls_[index];
    Server& server = server_of(call, copy);
    call.state[copy] = CopyState::queued;
    call.queued_at_us[copy] = now_us_;
    // The calls of one client are in line by when they began.
    auto behind = server.queue.end();
    while (behind != server.queue.begin() && std::prev(behind)->first > index) --behind;
    server.queue.emplace(behind, index, copy);
    start_next(server);
  }

  void start_next(Server& server) {
    while (!server.busy && !server.queue.empty()) {
      const auto [index, copy] = server.queue.front();
      server.queue.pop_front();
      Call& call = calls_[index];
      if (call.state[copy] == CopyState::cancelled) continue;
      call.state[copy] = CopyState::running;
      call.waited_us[copy] = now_us_ - call.queued_at_us[copy];
      server.busy = true;
      call.started_us[copy] = now_us_;
      finish_after(server, call.service_us[copy], index, copy);
    }
  }

  void finish_after(Server& server, double service_us, std::uint32_t index, std::uint32_t copy) {
    calls_[index].finish_us[copy] = finish_of(server, service_us);
    push(calls_[index].finish_us[copy], Kind::served, index, copy);
  }

  // When `service_us` of work that begins now is done, stalls on the way included.
  double finish_of(Server& server, double service_us) {
    double at_us = now_us_;
    while (server.next_stall < server.stalls.size()) {
      const auto [from, to] = server.stalls[server.next_stall];
      if (to <= at_us) {
        ++server.next_stall;
        continue;
      }
      if (from >= at_us + service_us) break;
      if (from > at_us) service_us -= from - at_us;
      at_us = to;
      ++server.next_stall;
    }
    return at_us + service_us;
  }

  void served(std::uint32_t index, std::uint32_t copy) {
    Call& call = calls_[index];
    if (call.state[copy] != CopyState::running || now_us_ != call.finish_us[copy]) return;
    Server& server = server_of(call, copy);
    server.busy = false;
    const bool wanted = !call.given_up[copy];
    (wanted ? result_.useful_us : result_.wasted_us) += call.service_us[copy];
    call.state[copy] = CopyState::done;
    push(now_us_ + options_.network_us, wanted ? Kind::reply : Kind::loser_ended, index, copy);
    start_next(server);
  }

  void reply(std::uint32_t index, std::uint32_t copy) {
    Call& call = calls_[index];
    if (call.answered) {
      result_.useful_us -= call.service_us[copy];
      result_.wasted_us += call.service_us[copy];
      policy_.loser_ended(call.decided, copy, moment(now_us_), net::LoserState::answered);
      return;
    }
    call.answered = true;
    if (index >= options_.warm_up) {
      result_.latencies_us.push_back(now_us_ - call.arrival_us);
      result_.arrivals_s.push_back(call.arrival_us * 1e-6);
    }
    const auto time = [](double us) { return net::Duration(static_cast<std::int64_t>(us * 1e3)); };
    // As a server says it, which knows nothing of stalls: from the begin to the end.
    const double served_us = call.finish_us[copy] - call.started_us[copy];
    policy_.answered(call.decided, copy, moment(now_us_),
                     {time(call.waited_us[copy]), time(served_us), 1.0});
    const std::uint32_t other = 1 - copy;
    if (call.decided.copy_count == 2 && call.decided.copies[other].open) {
      policy_.given_up(call.decided, other, moment(now_us_));
      push(now_us_ + options_.network_us, Kind::reach_cancel, index, other);
    }
  }

  // A cancel takes a call out of the queue, or lets it stop where it is.
  void reach_cancel(std::uint32_t index, std::uint32_t copy) {
    if (calls_[index].state[copy] == CopyState::running) return stop_running(index, copy);
    reach_recall(index, copy);
  }

  // A recall takes a call back only if it has not begun: the other copy then is the only one.
  void reach_recall(std::uint32_t index, std::uint32_t copy) {
    Call& call = calls_[index];
    if (call.state[copy] != CopyState::queued) return;
    call.state[copy] = CopyState::cancelled;
    push(now_us_ + options_.network_us, Kind::loser_ended, index, copy);
  }

  void loser_ended(std::uint32_t index, std::uint32_t copy) {
    Call& call = calls_[index];
    const bool queued = call.state[copy] == CopyState::cancelled;
    policy_.loser_ended(call.decided, copy, moment(now_us_),
                        queued ? net::LoserState::queued : net::LoserState::running);
    if (call.answered || call.decided.copies[1].open) return;
    if (queued && policy_.retry(call.decided, moment(now_us_))) send(index, 1);
  }

  // A running call looks at its cancel token between blocks: it stops at the end of the one that it
  // is in, and never later than it would have been done.
  void stop_running(std::uint32_t index, std::uint32_t copy) {
    Call& call = calls_[index];
    Server& server = server_of(call, copy);
    call.given_up[copy] = true;
    const double block_us = call.service_us[copy] / std::max(1.0, options_.blocks);
    double done_us = now_us_ - call.started_us[copy];
    for (const auto& [from, to] : server.stalls) {
      if (from >= now_us_) break;
      done_us -= std::max(0.0, std::min(to, now_us_) - std::max(from, call.started_us[copy]));
    }
    const double end_us =
        std::min(call.service_us[copy], (std::floor(done_us / block_us) + 1.0) * block_us);
    call.service_us[copy] = end_us;
    server.next_stall = 0;
    finish_after(server, std::max(0.0, end_us - done_us), index, copy);
  }

  const SimulationOptions options_;
  net::HedgePolicy policy_;
  std::vector<Server> servers_;
  std::vector<Call> calls_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  double now_us_ = 0.0;
  SimulationResult result_;
};

}  // namespace

double SimulationResult::cancelled_queued_share() const {
  const std::uint64_t losers = stats.cancelled_queued + stats.cancelled_running + stats.wasted;
  return losers == 0 ? 1.0
                     : static_cast<double>(stats.cancelled_queued) / static_cast<double>(losers);
}

double mean_service_us(const SimulationOptions& options) {
  const double body =
      options.service_us * std::exp(options.service_sigma * options.service_sigma / 2.0);
  return body * (1.0 + options.slow_share * (options.slow_factor - 1.0));
}

SimulationResult simulate(const SimulationOptions& options) {
  return Simulation(options).run();
}

}  // namespace vecserve::hedge
