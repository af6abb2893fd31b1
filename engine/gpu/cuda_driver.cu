// The Driver over CUDA: the only file of the engine that a CUDA compiler sees, the kernels with it.
// Comes below Device, which checks what these calls answer. Any thread. The runtime is linked
// statically and finds its driver when it is first called, so that one binary runs with and
// without. Always holds: every call that can fail is looked at; nothing here synchronises the whole
// device.
#include <cuda_runtime.h>

#include <new>
#include <string>

#include "engine/gpu/driver.h"
#include "engine/gpu/machine.cuh"

// After the names that they are written against.
#include "engine/gpu/bit_scan.cuh"
#include "engine/gpu/few_scan.cuh"
#include "engine/gpu/finish.cuh"
#include "engine/gpu/group_scan.cuh"
#include "engine/gpu/sift_scan.cuh"

namespace vecserve::engine::gpu {

namespace {

template <unsigned kQueries>
__global__ void __launch_bounds__(kScanThreads) few_scan_kernel(const ScanArguments arguments) {
  few_scan<kQueries>(arguments);
}

template <unsigned kQueries>
__global__ void __launch_bounds__(kScanThreads) sift_scan_kernel(const ScanArguments arguments) {
  sift_scan<kQueries>(arguments);
}

__global__ void __launch_bounds__(kScanThreads) group_scan_kernel(const ScanArguments arguments) {
  group_scan(arguments);
}

__global__ void __launch_bounds__(kScanThreads) bit_scan_kernel(const ScanArguments arguments) {
  bit_scan(arguments);
}

__global__ void __launch_bounds__(kScanThreads) refine_kernel(const ScanArguments arguments) {
  refine(arguments);
}

__global__ void __launch_bounds__(kScanThreads) pack_kernel(const ScanArguments arguments) {
  pack(arguments);
}

thread_local cudaError_t last_error = cudaSuccess;

// After one of these the context is of no more use to anybody.
bool is_sticky(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorCudartUnloading:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

DriverCode judge(cudaError_t error) {
  if (error == cudaSuccess) return DriverCode::ok;
  last_error = error;
  static_cast<void>(cudaGetLastError());  // one that is not sticky is forgotten with this
  if (error == cudaErrorMemoryAllocation) return DriverCode::out_of_memory;
  return is_sticky(error) ? DriverCode::lost : DriverCode::failed;
}

cudaStream_t stream_of(Driver::Stream stream) {
  return static_cast<cudaStream_t>(stream);
}

class CudaDriver final : public Driver {
 public:
  explicit CudaDriver(DriverInfo info) : info_(std::move(info)) {}

  const DriverInfo& info() const override { return info_; }
  std::string text() const override { return cudaGetErrorString(last_error); }

  DriverCode allocate(std::size_t bytes, void** address) override {
    return judge(cudaMalloc(address, bytes));
  }
  DriverCode release(void* address) override { return judge(cudaFree(address)); }
  DriverCode allocate_pinned(std::size_t bytes, void** address) override {
    return judge(cudaMallocHost(address, bytes));
  }
  DriverCode release_pinned(void* address) override { return judge(cudaFreeHost(address)); }

  DriverCode make_stream(Priority priority, Stream* stream) override {
    int lowest = 0;
    int highest = 0;
    const cudaError_t error = cudaDeviceGetStreamPriorityRange(&lowest, &highest);
    if (error != cudaSuccess) return judge(error);
    cudaStream_t made = nullptr;
    const DriverCode code = judge(cudaStreamCreateWithPriority(
        &made, cudaStreamNonBlocking, priority == Priority::search ? highest : lowest));
    *stream = made;
    return code;
  }
  DriverCode end_stream(Stream stream) override {
    return judge(cudaStreamDestroy(stream_of(stream)));
  }
  DriverCode make_event(Event* event) override {
    cudaEvent_t made = nullptr;
    const DriverCode code =
        judge(cudaEventCreateWithFlags(&made, cudaEventBlockingSync | cudaEventDisableTiming));
    *event = made;
    return code;
  }
  DriverCode end_event(Event event) override {
    return judge(cudaEventDestroy(static_cast<cudaEvent_t>(event)));
  }
  DriverCode record(Event event, Stream stream) override {
    return judge(cudaEventRecord(static_cast<cudaEvent_t>(event), stream_of(stream)));
  }
  DriverCode wait(Event event) override {
    return judge(cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
  }
  DriverCode wait_stream(Stream stream) override {
    return judge(cudaStreamSynchronize(stream_of(stream)));
  }

  DriverCode copy_in(void* device, const void* host, std::size_t bytes, Stream stream) override {
    return judge(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_of(stream)));
  }
  DriverCode copy_out(void* host, const void* device, std::size_t bytes, Stream stream) override {
    return judge(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_of(stream)));
  }
  DriverCode fill(void* device, std::uint8_t byte, std::size_t bytes, Stream stream) override {
    return judge(cudaMemsetAsync(device, byte, bytes, stream_of(stream)));
  }

  DriverCode launch(Kernel kernel, const ScanArguments& arguments, std::uint32_t blocks,
                    Stream stream) override {
    const std::size_t bytes = shared_bytes(kernel, arguments.stride);
    const cudaStream_t in = stream_of(stream);
    switch (kernel) {
      case Kernel::scan_one:
        few_scan_kernel<1><<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
      case Kernel::scan_few:
        few_scan_kernel<kFewQueries><<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
      case Kernel::sift_one:
        sift_scan_kernel<1><<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
      case Kernel::sift_few:
        sift_scan_kernel<kFewQueries><<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
      case Kernel::scan_groups:
        group_scan_kernel<<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
      case Kernel::scan_bits:
        bit_scan_kernel<<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
      case Kernel::refine:
        refine_kernel<<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
      case Kernel::pack:
        pack_kernel<<<blocks, kScanThreads, bytes, in>>>(arguments);
        break;
    }
    return judge(cudaGetLastError());
  }

 private:
  const DriverInfo info_;
};

}  // namespace

OpenedDriver open_cuda_driver() {
  int devices = 0;
  cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice || devices == 0) {
    static_cast<void>(cudaGetLastError());
    return {nullptr, "no CUDA driver or no device"};
  }
  cudaDeviceProp properties{};
  std::size_t free_bytes = 0;
  std::size_t all_bytes = 0;
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, 0);
  if (error == cudaSuccess) error = cudaMemGetInfo(&free_bytes, &all_bytes);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return {nullptr, cudaGetErrorString(error)};
  }
  if (properties.major < 8) {
    return {nullptr, std::string(properties.name) + " is older than compute capability 8.0"};
  }
  DriverInfo info;
  info.name = "sm_" + std::to_string(properties.major * 10 + properties.minor);
  info.device = properties.name;
  info.memory_bytes = free_bytes;
  info.processors = static_cast<std::uint32_t>(properties.multiProcessorCount);
  return {std::make_unique<CudaDriver>(std::move(info)), {}};
}

}  // namespace vecserve::engine::gpu
