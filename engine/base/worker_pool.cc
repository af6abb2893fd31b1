// The threads that searches share. A call puts its job on a list, works on it itself, and takes it
// off again; idle threads look for a job on the list that still wants hands. Stands below scan.
// Any thread calls run(); the pool's own threads run work_until_closed().
// Always holds: a job is touched by a helper only between joining and leaving under the mutex, and
// run() returns only after every helper has left, so jobs may live on the stack of their caller.
#include "engine/base/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "engine/base/limits.h"

namespace vecserve::engine {
namespace {

struct Job {
  WorkerPool::Task task = nullptr;
  void* context = nullptr;
  std::size_t count = 0;
  std::uint32_t helpers_max = 0;
  std::atomic<std::size_t> next{0};  // the next index to hand out

  // Guarded by Shared::mutex.
  std::uint32_t joined = 0;  // helpers that ever joined; each joins at most once
  std::uint32_t inside = 0;  // helpers at work
  Job* next_job = nullptr;
  std::condition_variable all_left;

  [[nodiscard]] bool wants_hands() const {
    return joined < helpers_max && next.load(std::memory_order_relaxed) < count;
  }
  void work(std::uint32_t worker) {
    for (;;) {
      const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count) return;
      task(context, index, worker);
    }
  }
};

}  // namespace

struct WorkerPool::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  Job* jobs = nullptr;  // oldest first
  bool closing = false;
  std::vector<std::thread> threads;

  Job* find_job() {
    Job* job = jobs;
    while (job != nullptr && !job->wants_hands()) job = job->next_job;
    return job;
  }
  void add(Job& job) {
    Job** link = &jobs;
    while (*link != nullptr) link = &(*link)->next_job;
    *link = &job;
  }
  void remove(Job& job) {
    Job** link = &jobs;
    while (*link != &job) link = &(*link)->next_job;
    *link = job.next_job;
  }

  void work_until_closed() {
    std::unique_lock lock(mutex);
    for (;;) {
      Job* job = find_job();
      if (job == nullptr) {
        if (closing) return;
        wake.wait(lock);
        continue;
      }
      const std::uint32_t worker = ++job->joined;
      ++job->inside;
      lock.unlock();
      job->work(worker);
      lock.lock();
      if (--job->inside == 0) job->all_left.notify_one();
    }
  }
};

WorkerPool::WorkerPool(std::uint32_t threads) : shared_(std::make_unique<Shared>()) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  threads = std::min(threads, limits::threads_max);
  shared_->threads.reserve(threads - 1);
  try {
    for (std::uint32_t i = 1; i < threads; ++i) {
      shared_->threads.emplace_back([shared = shared_.get()] { shared->work_until_closed(); });
    }
  } catch (const std::system_error&) {
    // The system has no more threads to give: the pool works with those it got.
  }
  threads_ = static_cast<std::uint32_t>(shared_->threads.size()) + 1;
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->closing = true;
  }
  shared_->wake.notify_all();
  for (std::thread& thread : shared_->threads) thread.join();
}

void WorkerPool::run(std::size_t count, std::uint32_t threads_wanted, Task task, void* context) {
  const std::size_t hands = std::min({count, std::size_t{threads_wanted}, std::size_t{threads_}});
  if (hands <= 1) {
    for (std::size_t index = 0; index < count; ++index) task(context, index, 0);
    return;
  }
  Job job;
  job.task = task;
  job.context = context;
  job.count = count;
  job.helpers_max = static_cast<std::uint32_t>(hands - 1);
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->add(job);
  }
  if (hands == threads_) {
    shared_->wake.notify_all();
  } else {
    for (std::size_t i = 1; i < hands; ++i) shared_->wake.notify_one();
  }
  job.work(0);
  std::unique_lock lock(shared_->mutex);
  shared_->remove(job);
  job.all_left.wait(lock, [&job] { return job.inside == 0; });
}

}  // namespace vecserve::engine
