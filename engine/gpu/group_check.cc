// See group_check.h.
// Runs when a device is opened. Always holds: sums of the known answers are exact as floats, and
// the threshold lies between two of them, so that what survives, and with which score, is known to
// the last bit.
#include "engine/gpu/group_check.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <vector>

namespace vecserve::engine::gpu {

namespace {

constexpr std::uint32_t kQueries = kGroupQueries + 6;  // a whole group and a piece of the next
constexpr std::uint32_t kRows[] = {kTileRows + 2, 6};  // of each block
constexpr std::uint32_t kBlocks = 2;
constexpr std::uint32_t kTilesPerBlock = 2;
constexpr std::uint32_t kRoom = 128;  // of a query's survivors, more than there are rows
// Bytes of a row: each piece that a stage can be, alone and behind a whole one; two tiles of the
// latter are more stages than there are.
constexpr std::uint32_t kStrides[] = {64, 384, 448};
constexpr float kThreshold = 0.5f;  // of scores, which are whole
constexpr std::uint64_t kSomeRows = 0x9249249249249249;
constexpr std::size_t kPart = 16;

// Where the parts of the lane's input begin.
struct Layout {
  explicit Layout(std::uint32_t stride) {
    std::size_t end = 0;
    const auto part = [&](std::size_t size) {
      const std::size_t at = end;
      end += (size + kPart - 1) / kPart * kPart;
      return at;
    };
    blocks = part(kBlocks * sizeof(DeviceBlock));
    masks = part(2 * kBlocks * sizeof(std::uint64_t));
    words = part(kTilesPerBlock * sizeof(std::uint64_t));
    queries = part(kQueries * sizeof(DeviceQuery));
    codes = part(std::size_t{kQueries} * stride);
    states = part(kQueries * sizeof(QueryState) + sizeof(ScanTotals));
    for (std::uint32_t b = 0; b < kBlocks; ++b) {
      rows[b] = part(kRows[b] * sizeof(DeviceRow));
      row_codes[b] = part(std::size_t{kRows[b]} * stride);
    }
    bytes = end;
  }
  std::size_t blocks, masks, words, queries, codes, states, bytes;
  std::size_t rows[kBlocks];
  std::size_t row_codes[kBlocks];
};

auto place_of(const PackedSurvivor& survivor) {
  return std::tuple(survivor.query, survivor.block, survivor.position);
}

bool before(const PackedSurvivor& a, const PackedSurvivor& b) {
  return place_of(a) < place_of(b);
}

class GroupCheck {
 public:
  GroupCheck(Device& device, DeviceLane& lane, std::uint32_t stride)
      : device_(device), lane_(lane), stride_(stride), at_(stride) {}

  [[nodiscard]] bool fits(const DeviceTuning& tuning) const {
    return at_.bytes <= tuning.input_bytes && kQueries * kRoom <= tuning.survivors &&
           kQueries * (kRows[0] + kRows[1]) <= tuning.packed &&
           kQueries * sizeof(QueryState) + sizeof(ScanTotals) <= lane_.states_bytes;
  }

  // Queries of odd numbers may have one row in three of the first block, the others all.
  void prepare() {
    std::byte* const host = lane_.input_host;
    std::memset(host, 0, at_.bytes);
    std::uint32_t state = stride_;
    const auto fill = [&](std::size_t from, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        state = state * 1'664'525u + 1'013'904'223u;
        host[from + i] = static_cast<std::byte>(state >> 24);
      }
    };
    fill(at_.codes, std::size_t{kQueries} * stride_);
    const std::uint64_t words = reinterpret_cast<std::uint64_t>(lane_.input + at_.words);
    const std::uint64_t masks[] = {kAllRows, kAllRows, words, kNoRows};
    std::memcpy(host + at_.masks, masks, sizeof(masks));
    for (std::uint32_t w = 0; w < kTilesPerBlock; ++w) put(at_.words, w, kSomeRows);
    for (std::uint32_t b = 0; b < kBlocks; ++b) {
      fill(at_.row_codes[b], std::size_t{kRows[b]} * stride_);
      for (std::uint32_t r = 0; r < kRows[b]; ++r) put(at_.rows[b], r, DeviceRow{1.0f, 0, 0, 0});
      const auto* const codes =
          reinterpret_cast<const std::uint8_t*>(lane_.input + at_.row_codes[b]);
      const auto* const rows = reinterpret_cast<const DeviceRow*>(lane_.input + at_.rows[b]);
      put(at_.blocks, b, DeviceBlock{codes, rows, kRows[b], 0});
    }
    for (std::uint32_t q = 0; q < kQueries; ++q) {
      put(at_.queries, q, DeviceQuery{1.0f, 0.0f, 0.0f, 0.0f, 0, q % 2});
      put(at_.states, q, QueryState{key_of_float(kThreshold), 0, kNoKey, 0});
    }
    find_truth();
  }

  // "" or what is wrong with the kernel.
  [[nodiscard]] Result<std::string> ask(Kernel kernel) {
    VECSERVE_TRY(run(kernel));
    const auto* const states = reinterpret_cast<const QueryState*>(lane_.output_host);
    for (std::uint32_t q = 0; q < kQueries; ++q) {
      if (states[q].given_up != 0) return std::string("it waits in vain");
    }
    ScanTotals totals;
    std::memcpy(&totals, states + kQueries, sizeof(totals));
    auto* const found = reinterpret_cast<PackedSurvivor*>(lane_.output_host + lane_.states_bytes);
    std::sort(found, found + truth_.size(), before);
    const bool right = totals.packed == truth_.size() &&
                       std::memcmp(found, truth_.data(), truth_.size() * sizeof(truth_[0])) == 0;
    return std::string(right ? "" : "its answers are wrong");
  }

 private:
  template <typename T>
  void put(std::size_t at, std::size_t index, const T& value) {
    std::memcpy(lane_.input_host + at + index * sizeof(T), &value, sizeof(T));
  }

  void find_truth() {
    for (std::uint32_t q = 0; q < kQueries; ++q) {
      for (std::uint32_t b = 0; b < (q % 2 == 0 ? kBlocks : 1); ++b) {
        for (std::uint32_t r = 0; r < kRows[b]; ++r) {
          const bool eligible = q % 2 == 0 || (kSomeRows >> (r % kTileRows) & 1) != 0;
          const std::int32_t sum = eligible ? sum_of(q, b, r) : -1;
          if (sum >= 0) truth_.push_back({q, b, r, -static_cast<float>(sum)});
        }
      }
    }
  }
  std::int32_t sum_of(std::uint32_t query, std::uint32_t block, std::uint32_t row) const {
    const auto* const bytes = reinterpret_cast<const std::int8_t*>(lane_.input_host);
    const std::int8_t* const a = bytes + at_.codes + std::size_t{query} * stride_;
    const std::int8_t* const b = bytes + at_.row_codes[block] + std::size_t{row} * stride_;
    std::int32_t sum = 0;
    for (std::uint32_t i = 0; i < stride_; ++i) sum += int{a[i]} * int{b[i]};
    return sum;
  }

  [[nodiscard]] Status run(Kernel kernel) {
    ScanArguments a{};
    const auto on_device = [&](std::size_t at) { return lane_.input + at; };
    a.blocks = reinterpret_cast<const DeviceBlock*>(on_device(at_.blocks));
    a.mask_at = reinterpret_cast<const std::uint64_t*>(on_device(at_.masks));
    a.queries = reinterpret_cast<const DeviceQuery*>(on_device(at_.queries));
    a.codes = reinterpret_cast<const std::int8_t*>(on_device(at_.codes));
    a.states = reinterpret_cast<QueryState*>(on_device(at_.states));
    a.totals = reinterpret_cast<ScanTotals*>(a.states + kQueries);
    a.keys = lane_.keys;
    a.survivors = lane_.survivors;
    a.packed = lane_.packed;
    a.block_count = kBlocks;
    a.tiles_per_block = kTilesPerBlock;
    a.query_count = kQueries;
    a.stride = stride_;
    a.capacity = kRoom;
    a.packed_capacity = kQueries * (kRows[0] + kRows[1]);
    a.last_tile = kBlocks * kTilesPerBlock;
    const std::size_t key_bytes = std::size_t{kQueries} * kRoom * sizeof(std::uint32_t);
    VECSERVE_TRY(device_.copy_in(lane_.input, lane_.input_host, at_.bytes, lane_.stream));
    VECSERVE_TRY(device_.fill(lane_.keys, 0xff, key_bytes, lane_.stream));
    // Two blocks for each group: one of them has tiles one after another.
    VECSERVE_TRY(device_.launch(kernel, a, 4, lane_.stream));
    VECSERVE_TRY(device_.launch(Kernel::pack, a, (kQueries + 3) / 4, lane_.stream));
    const std::size_t states_bytes = kQueries * sizeof(QueryState) + sizeof(ScanTotals);
    VECSERVE_TRY(device_.copy_out(lane_.output_host, a.states, states_bytes, lane_.stream));
    VECSERVE_TRY(device_.copy_out(lane_.output_host + lane_.states_bytes, lane_.packed,
                                  truth_.size() * sizeof(truth_[0]), lane_.stream));
    VECSERVE_TRY(device_.record(lane_.done, lane_.stream));
    return device_.try_wait(lane_.done);
  }

  Device& device_;
  DeviceLane& lane_;
  const std::uint32_t stride_;
  const Layout at_;
  std::vector<PackedSurvivor> truth_;  // in the order of before()
};

}  // namespace

Result<std::string> check_warpgroups(Device& device, DeviceLane& lane, const DeviceTuning& tuning) {
  for (const std::uint32_t stride : kStrides) {
    GroupCheck check(device, lane, stride);
    if (!check.fits(tuning)) return std::string("no room to check it");
    check.prepare();
    for (const Kernel kernel : {Kernel::scan_groups, Kernel::scan_warpgroups}) {
      Result<std::string> wrong = check.ask(kernel);
      if (!wrong.ok()) {
        if (!device.alive() || !device.drain(lane.stream).ok()) return wrong.status();
        return wrong.status().message();
      }
      if (wrong->empty()) continue;
      return kernel == Kernel::scan_groups ? "the check fails for mma: " + *wrong : *wrong;
    }
  }
  return std::string();
}

}  // namespace vecserve::engine::gpu
