// See serving.h.
// Any thread may use the dispatches; start() and the destructor belong to the owner. Always holds:
// lanes end before the devices that they run on, and those before the dispatches.
#include "net/serving.h"

#include <utility>

namespace vecserve::net {

namespace {

DispatchOptions searches_with(const ServingOptions& options, const Device* device) {
  DispatchOptions searches = options.searches;
  if (device != nullptr) searches.guest_most = Duration(0);
  return searches;
}

}  // namespace

struct Serving::State {
  State(const ServingOptions& options, const engine::Clock& clock, Device* device)
      : searches(searches_with(options, device), clock),
        writes(options.writes, clock),
        reads(options.reads, clock),
        own_search_device(options.searches.lanes),
        search_lanes(searches, device != nullptr ? *device : own_search_device,
                     options.searches.lanes),
        write_lanes(writes, call_device, options.writes.lanes),
        read_lanes(reads, call_device, options.reads.lanes) {}

  Dispatch searches;
  Dispatch writes;
  Dispatch reads;
  SearchGroups groups;
  SearchDevice own_search_device;
  CallDevice call_device;
  Lanes search_lanes;
  Lanes write_lanes;
  Lanes read_lanes;
};

DispatchOptions ServingOptions::write_defaults() {
  DispatchOptions options;
  options.lanes = 16;
  options.batch_max = 1;
  options.target = std::chrono::seconds(2);
  options.first_guess = std::chrono::milliseconds(2);
  return options;
}

DispatchOptions ServingOptions::read_defaults() {
  DispatchOptions options;
  options.lanes = 4;
  options.batch_max = 1;
  options.target = std::chrono::seconds(1);
  options.first_guess = std::chrono::microseconds(200);
  return options;
}

Status ServingOptions::validate() const {
  VECSERVE_TRY(searches.validate());
  VECSERVE_TRY(writes.validate());
  return reads.validate();
}

Serving::Serving(const ServingOptions& options, const engine::Clock& clock)
    : state_(std::make_unique<State>(options, clock, nullptr)) {}

Serving::Serving(const ServingOptions& options, const engine::Clock& clock, Device& search_device)
    : state_(std::make_unique<State>(options, clock, &search_device)) {}

Serving::~Serving() {
  stop();
}

Status Serving::start() {
  VECSERVE_TRY(state_->search_lanes.start());
  VECSERVE_TRY(state_->write_lanes.start());
  return state_->read_lanes.start();
}

void Serving::run_search_as_guest() {
  state_->search_lanes.run_as_guest();
}

Dispatch& Serving::searches() {
  return state_->searches;
}
Dispatch& Serving::writes() {
  return state_->writes;
}
Dispatch& Serving::reads() {
  return state_->reads;
}
const Dispatch& Serving::searches() const {
  return state_->searches;
}
const Dispatch& Serving::writes() const {
  return state_->writes;
}
const Dispatch& Serving::reads() const {
  return state_->reads;
}
SearchGroups& Serving::groups() {
  return state_->groups;
}

PeerSet Serving::join() {
  return {state_->searches.join(), state_->writes.join(), state_->reads.join()};
}

void Serving::cancel_all(const PeerSet& peers) {
  state_->searches.cancel_all(*peers.searches);
  state_->writes.cancel_all(*peers.writes);
  state_->reads.cancel_all(*peers.reads);
}

void Serving::drain() {
  state_->searches.drain();
  state_->writes.drain();
  state_->reads.drain();
}

bool Serving::wait_idle(Deadline until) {
  return state_->searches.wait_idle(until) && state_->writes.wait_idle(until) &&
         state_->reads.wait_idle(until);
}

void Serving::stop() {
  state_->searches.stop();
  state_->writes.stop();
  state_->reads.stop();
}

}  // namespace vecserve::net
