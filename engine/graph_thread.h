// The thread that keeps the graphs of a database: works in slices, all cores while nobody searches,
// one core half of the time while somebody does, and looks now and then when there is nothing to
// do. Made by open after everything is loaded, ended by close before the store is.
// Always holds: after stop() has returned no slice is running and none will start; waits on a
// condition, so that stop() takes no longer than the slice that is running.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/collection_core.h"

namespace vecserve::engine {

class GraphThread {
 public:
  using Collections = std::function<std::vector<std::shared_ptr<CollectionCore>>()>;

  // `threads`: how many may link at once while nobody searches.
  GraphThread(Collections collections, std::uint32_t threads);
  ~GraphThread();
  void stop();

 private:
  void run();
  // True when some collection has more to do; `searched` when one was searched meanwhile.
  bool slice(bool& searched);
  [[nodiscard]] bool stopping();

  const Collections collections_;
  const std::uint32_t threads_;
  std::uint64_t searches_ = 0;  // that there were before the last slice
  bool busy_ = false;           // somebody searched during it
  bool any_wanted_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace vecserve::engine
