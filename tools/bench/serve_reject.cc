// What a refusal costs the processor: a conversation without its socket, before a serving core
// whose lane is busy and whose target is tiny, so that every search is refused for lack of time.
// Used by bench_serve. Main thread, timed by its own processor clock. Always holds: every frame
// that is timed is answered by a refusal, and metrics are kept as in the daemon.
#include <ctime>
#include <memory>
#include <vector>

#include "net/conversation.h"
#include "tools/bench/loaded_database.h"
#include "tools/bench/serve_cases.h"

namespace vecserve::bench {

namespace {

constexpr std::uint32_t kDim = 128;
constexpr std::uint32_t kTogether = 64;  // frames between two readings of the clock

double thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Busy until it is let go.
class BusyDevice final : public net::Device {
 public:
  void run(net::Batch& batch) noexcept override {
    busy.store(true);
    busy.notify_all();
    let_go.wait(false);
    for (Status& status : batch.statuses) status = Status(StatusCode::cancelled, "never served");
  }
  std::atomic<bool> busy{false};
  std::atomic<bool> let_go{false};
};

std::string frame_of(net::Verb verb, std::uint64_t id, const net::RequestBody& body) {
  std::string bytes;
  const Status status = net::encode_request({.verb = verb, .id = id}, body,
                                            net::limits::frame_bytes_max_default, bytes);
  require(status.ok(), status.to_string());
  return bytes;
}

net::Frame read_frame(net::FrameReader& reader, std::string_view bytes) {
  net::Frame frame;
  while (reader.next(frame) != net::FrameReader::Next::frame) {
    require(!bytes.empty(), "a frame is not whole");
    const std::span<char> space = reader.space();
    const std::size_t count = std::min(space.size(), bytes.size());
    std::copy_n(bytes.data(), count, space.data());
    reader.filled(count);
    bytes.remove_prefix(count);
  }
  return frame;
}

class Refused {
 public:
  explicit Refused(Database& database)
      : serving_(options(), clock_, device_),
        shared_(std::make_shared<net::ServerShared>(server_options(), database, serving_, clock_)),
        conversation_(std::make_shared<net::Conversation>(*shared_, "127.0.0.1", [] {})),
        reader_(net::limits::frame_bytes_max_default) {
    stats_ = std::make_unique<net::ServerStats>(serving_, clock_);
    require(serving_.start().ok(), "no threads");
    say(frame_of(net::Verb::hello, 1, net::HelloRequest()));
    say(search(2));
    device_.busy.wait(false);
    drop_replies();
  }
  ~Refused() {
    conversation_->close();
    device_.let_go = true;
    device_.let_go.notify_all();
    serving_.stop();
  }
  Refused(const Refused&) = delete;
  Refused& operator=(const Refused&) = delete;

  // Nanoseconds of the processor for each of `rounds` groups of refusals, by frame. `whole`: with
  // cutting the frame out of the stream of bytes and its checksums.
  std::vector<double> run(std::uint32_t rounds, bool whole) {
    std::vector<double> costs;
    for (std::uint32_t round = 0; round < rounds; ++round) {
      std::vector<net::Frame> frames;
      std::vector<std::string> bytes;
      for (std::uint64_t i = 0; i < kTogether; ++i) {
        bytes.push_back(search(100 + i));
        if (!whole) frames.push_back(read_frame(reader_, bytes.back()));
      }
      const std::uint64_t before = shared_->counters.refused.load();
      const double start = thread_cpu_ns();
      for (std::size_t i = 0; i < kTogether; ++i) {
        const bool goes_on =
            conversation_->on_frame(whole ? read_frame(reader_, bytes[i]) : std::move(frames[i]));
        require(goes_on, "the conversation ended");
      }
      costs.push_back((thread_cpu_ns() - start) / kTogether);
      require(shared_->counters.refused.load() == before + kTogether, "a search was not refused");
      drop_replies();
    }
    return costs;
  }

 private:
  static net::ServingOptions options() {
    net::ServingOptions options;
    options.searches.lanes = 1;
    options.searches.target = std::chrono::nanoseconds(1);
    return options;
  }
  net::ServerOptions server_options() {
    net::ServerOptions options;
    options.on_reply = [this](const net::ReplyRecord& reply) { stats_->record(reply); };
    return options;
  }
  std::string search(std::uint64_t id) const {
    net::SearchRequest search;
    search.collection = "rows";
    search.queries = {Query(vector_)};
    return frame_of(net::Verb::search, id, search);
  }
  void say(const std::string& bytes) {
    require(conversation_->on_frame(read_frame(reader_, bytes)), "the conversation ended");
  }
  void drop_replies() {
    std::string bytes;
    if (conversation_->outbox().take(bytes)) conversation_->outbox().sent(bytes.size());
  }

  const std::vector<float> vector_ = random_floats(kDim, 1);
  engine::SystemClock clock_;
  BusyDevice device_;
  // The search that the lane is busy with reports here at the end: it goes after the serving core.
  std::unique_ptr<net::ServerStats> stats_;
  net::Serving serving_;
  std::shared_ptr<net::ServerShared> shared_;
  std::shared_ptr<net::Conversation> conversation_;
  net::FrameReader reader_;
};

}  // namespace

void measure_reject(const ServeSettings& settings) {
  DatabaseOptions options;
  options.in_memory = true;
  auto database = Database::open("", options);
  require(database.ok(), database.status().to_string());
  static_cast<void>(load_rows(*database, {1'000, kDim, settings.common.seed}));
  Refused refused(*database);
  const std::uint32_t rounds = std::max(settings.rejects / kTogether, 4U);
  static_cast<void>(refused.run(rounds / 4, false));
  std::vector<double> decoded = refused.run(rounds, false);
  std::vector<double> whole = refused.run(rounds, true);
  Report report("serve", settings.common);
  report.add({{"case", "reject"},
              {"rejects", rounds * kTogether},
              {"reject_p50_ns", percentile(decoded, 0.5)},
              {"reject_p99_ns", percentile(decoded, 0.99)},
              {"with_reading_p50_ns", percentile(whole, 0.5)},
              {"with_reading_p99_ns", percentile(whole, 0.99)}});
}

}  // namespace vecserve::bench
