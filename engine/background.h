// The one background thread of a database: fills the planes of loaded rows, then removes expired
// rows and gives back the memory of sparse blocks, now and then. Made by open after everything is
// loaded, ended by close before the store is.
// Always holds: after stop() has returned no pass is running and none will start.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace vecserve::engine {

class Background {
 public:
  using Stopping = std::function<bool()>;

  // Runs `first` at once and `pass` every `period`, on a thread of its own. `first` may take long
  // and asks now and then whether to give up.
  Background(std::chrono::milliseconds period, std::function<void(const Stopping&)> first,
             std::function<void()> pass);
  ~Background();

  void stop();

 private:
  void run();

  const std::chrono::milliseconds period_;
  const std::function<void(const Stopping&)> first_;
  const std::function<void()> pass_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace vecserve::engine
