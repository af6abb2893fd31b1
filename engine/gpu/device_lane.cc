// See device_lane.h.
// Runs when a device is opened and when it is closed. Always holds: whatever was made is released,
// also when the next thing could not be made.
#include "engine/gpu/device_lane.h"

#include <algorithm>

namespace vecserve::engine::gpu {

namespace {

template <typename T>
Status take(Result<void*> made, T*& out) {
  VECSERVE_TRY(made.status());
  out = static_cast<T*>(*made);
  return {};
}

}  // namespace

Result<std::unique_ptr<DeviceLane>> DeviceLane::make(std::shared_ptr<Device> device,
                                                     const DeviceTuning& tuning) {
  std::unique_ptr<DeviceLane> lane(new DeviceLane(std::move(device)));
  VECSERVE_TRY(lane->allocate(tuning));
  return lane;
}

Status DeviceLane::allocate(const DeviceTuning& tuning) {
  const Result<Driver::Stream> made = device_->make_stream(Driver::Priority::search);
  VECSERVE_TRY(made.status());
  stream = *made;
  const Result<Driver::Event> event = device_->make_event();
  VECSERVE_TRY(event.status());
  done = *event;
  const std::size_t room = tuning.survivors;
  const std::size_t queries = std::max<std::size_t>(room / tuning.survivors_min, 1);
  states_bytes = queries * sizeof(QueryState) + sizeof(ScanTotals);
  VECSERVE_TRY(take(device_->allocate_pinned(tuning.input_bytes), input_host));
  VECSERVE_TRY(take(device_->allocate(tuning.input_bytes), input));
  VECSERVE_TRY(take(device_->allocate(room * sizeof(std::uint32_t)), keys));
  VECSERVE_TRY(take(device_->allocate(room * sizeof(DeviceSurvivor)), survivors));
  const std::size_t packed_bytes = std::size_t{tuning.packed} * sizeof(PackedSurvivor);
  VECSERVE_TRY(take(device_->allocate(packed_bytes), packed));
  VECSERVE_TRY(take(device_->allocate_pinned(states_bytes + packed_bytes), output_host));
  if (tuning.graphs) make_graphs();
  return {};
}

// Of a scan whose first rows are looked at by `first` and the others, if there are any, by `rest`;
// where vectors are read after it and where not; with parameters that stand for those to come.
void DeviceLane::make_graph(Kernel first, std::optional<Kernel> rest) {
  make_graph(first, rest, false);
  if (first != Kernel::scan_bits) make_graph(first, rest, true);
}

void DeviceLane::make_graph(Kernel first, std::optional<Kernel> rest, bool sharpened) {
  const ScanArguments arguments{};
  Steps steps;
  steps.fill(keys, 0xff, sizeof(std::uint32_t));
  steps.launch(first, arguments, 1);
  steps.launch(Kernel::refine, arguments, 1);
  if (rest.has_value()) {
    steps.launch(*rest, arguments, 1);
    steps.launch(Kernel::refine, arguments, 1);
  }
  if (sharpened) {
    steps.launch(Kernel::sharpen, arguments, 1);
    steps.launch(Kernel::refine, arguments, 1);
  }
  steps.launch(Kernel::pack, arguments, 1);
  steps.copy_out(output_host, input, sizeof(QueryState));
  steps.copy_out(output_host + states_bytes, packed, sizeof(PackedSurvivor));
  graphs_.push_back({steps.form(), nullptr});  // first, so that what is made is kept
  const Result<Driver::Graph> graph = device_->make_graph(steps);
  if (graph.ok()) graphs_.back().graph = *graph;
}

void DeviceLane::make_graphs() {
  for (const Kernel all :
       {Kernel::scan_one, Kernel::scan_few, Kernel::scan_groups, Kernel::scan_bits}) {
    make_graph(all, std::nullopt);
    make_graph(all, all);
  }
  if (device_->info().warpgroups) {
    make_graph(Kernel::scan_warpgroups, std::nullopt);
    make_graph(Kernel::scan_warpgroups, Kernel::scan_warpgroups);
  }
  make_graph(Kernel::scan_one, Kernel::sift_one);
  make_graph(Kernel::scan_few, Kernel::sift_few);
}

Driver::Graph DeviceLane::graph_for(std::uint64_t form) const {
  for (const KeptGraph& kept : graphs_) {
    if (kept.form == form) return kept.graph;
  }
  return nullptr;
}

void DeviceLane::give_up_graph(std::uint64_t form) {
  for (KeptGraph& kept : graphs_) {
    if (kept.form != form) continue;
    device_->end_graph(kept.graph);
    kept.graph = nullptr;
  }
}

DeviceLane::~DeviceLane() {
  if (stream != nullptr && device_->alive()) static_cast<void>(device_->drain(stream));
  for (const KeptGraph& kept : graphs_) device_->end_graph(kept.graph);
  device_->release_pinned(output_host);
  device_->release(packed);
  device_->release(survivors);
  device_->release(keys);
  device_->release(input);
  device_->release_pinned(input_host);
  device_->end_event(done);
  device_->end_stream(stream);
}

}  // namespace vecserve::engine::gpu
