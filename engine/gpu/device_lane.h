// What one search at a time needs on a GPU: a stream of high priority, memory for its arguments,
// its survivors and its answer, on both sides, and graphs for the forms that most launches have.
// Made when the device is opened, lent by Gpu. One thread at a time. Always holds: sizes never
// change; a lane that could not be made in full is not made, but for its graphs, which save time
// and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/gpu/device.h"

namespace vecserve::engine::gpu {

// How many queries are multiplied on the matrix units: each warp by itself, or four together by the
// instructions of sm_90a.
enum class GroupKernel : std::uint8_t {
  choose,  // the latter on devices that have it and pass the check of it
  mma,
  wgmma,
};

// Sizes and thresholds that tests make small.
struct DeviceTuning {
  std::size_t input_bytes = std::size_t{32} << 20;  // blocks, masks and queries of one launch
  std::uint32_t survivors = 1u << 22;               // room, shared by the queries of a launch
  std::uint32_t survivors_min = 4'096;              // room of one query at least
  std::uint32_t survivors_max = 65'536;             // and at most
  std::uint32_t packed = 1u << 18;                  // survivors on their way to the host
  std::uint32_t packed_first = 2'048;               // of them, copied without asking how many
  std::uint32_t seed_rows = 2'048;  // rows looked at before there is a first threshold
  std::uint32_t recheck_every = 0;  // score each so many-th survivor again on the CPU; 0: none
  bool full = true;                 // read survivors' vectors where they are on the device
  bool graphs = true;               // replay a launch as a graph where there is one of its form
  bool always = false;              // use the device also where the CPU would be faster
  GroupKernel group = GroupKernel::choose;  // of a scan, `choose` is mma
};

class DeviceLane {
 public:
  [[nodiscard]] static Result<std::unique_ptr<DeviceLane>> make(std::shared_ptr<Device> device,
                                                                const DeviceTuning& tuning);
  ~DeviceLane();
  DeviceLane(const DeviceLane&) = delete;
  DeviceLane& operator=(const DeviceLane&) = delete;

  // The graph of steps of that form; null: they go one by one.
  [[nodiscard]] Driver::Graph graph_for(std::uint64_t form) const;
  // It has failed: from now on they go one by one.
  void give_up_graph(std::uint64_t form);

  // Constant once made.
  Driver::Stream stream = nullptr;
  Driver::Event done = nullptr;
  std::byte* input_host = nullptr;
  std::byte* input = nullptr;
  std::uint32_t* keys = nullptr;
  DeviceSurvivor* survivors = nullptr;
  PackedSurvivor* packed = nullptr;
  std::byte* output_host = nullptr;  // states and total, then packed survivors
  std::size_t states_bytes = 0;      // room for the former

 private:
  explicit DeviceLane(std::shared_ptr<Device> device) : device_(std::move(device)) {}
  [[nodiscard]] Status allocate(const DeviceTuning& tuning);
  void make_graph(Kernel first, std::optional<Kernel> rest);
  void make_graph(Kernel first, std::optional<Kernel> rest, bool sharpened);
  void make_graphs();

  struct KeptGraph {
    std::uint64_t form = 0;
    Driver::Graph graph = nullptr;
  };
  std::vector<KeptGraph> graphs_;
  std::shared_ptr<Device> device_;
};

}  // namespace vecserve::engine::gpu
