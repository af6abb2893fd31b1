// The Driver over CUDA: the only file of the engine that a CUDA compiler sees, the kernels with it.
// Comes below Device, which checks what these calls answer. Any thread. The runtime is linked
// statically and finds its driver when it is first called, so that one binary runs with and
// without. Always holds: every call that can fail is looked at; nothing here synchronises the whole
// device.
#include <cuda_runtime.h>
#include <thrust/system/cuda/execution_policy.h>
#include <thrust/system_error.h>

#include <memory>
#include <new>
#include <string>

#include "engine/gpu/driver.h"
#include "engine/gpu/gather.cuh"
#include "engine/gpu/machine.cuh"
#include "engine/gpu/warpgroup.cuh"

// After the names that they are written against.
#include "engine/gpu/bit_scan.cuh"
#include "engine/gpu/few_scan.cuh"
#include "engine/gpu/finish.cuh"
#include "engine/gpu/group_scan.cuh"
#include "engine/gpu/sharpen.cuh"
#include "engine/gpu/sift_scan.cuh"
#include "engine/gpu/warpgroup_scan.cuh"

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

// For other targets than sm_90a there is nothing in it.
__global__ void __launch_bounds__(threads_of(Kernel::scan_warpgroups))
    warpgroup_scan_kernel([[maybe_unused]] const ScanArguments arguments) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  warpgroup_scan(arguments);
#endif
}

__global__ void __launch_bounds__(kScanThreads) bit_scan_kernel(const ScanArguments arguments) {
  bit_scan(arguments);
}

__global__ void __launch_bounds__(kScanThreads) refine_kernel(const ScanArguments arguments) {
  refine(arguments);
}

__global__ void __launch_bounds__(kScanThreads) sharpen_kernel(const ScanArguments arguments) {
  sharpen(arguments);
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
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorMpsClientTerminated:
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

const void* function_of(Kernel kernel) {
  switch (kernel) {
    case Kernel::scan_one:
      return reinterpret_cast<const void*>(few_scan_kernel<1>);
    case Kernel::scan_few:
      return reinterpret_cast<const void*>(few_scan_kernel<kFewQueries>);
    case Kernel::sift_one:
      return reinterpret_cast<const void*>(sift_scan_kernel<1>);
    case Kernel::sift_few:
      return reinterpret_cast<const void*>(sift_scan_kernel<kFewQueries>);
    case Kernel::scan_groups:
      return reinterpret_cast<const void*>(group_scan_kernel);
    case Kernel::scan_warpgroups:
      return reinterpret_cast<const void*>(warpgroup_scan_kernel);
    case Kernel::scan_bits:
      return reinterpret_cast<const void*>(bit_scan_kernel);
    case Kernel::refine:
      return reinterpret_cast<const void*>(refine_kernel);
    case Kernel::sharpen:
      return reinterpret_cast<const void*>(sharpen_kernel);
    case Kernel::pack:
      break;
  }
  return reinterpret_cast<const void*>(pack_kernel);
}

// Steps one after another as a graph, each a node whose parameters are set anew where they differ
// from those of the last time.
class CudaGraph {
 public:
  CudaGraph() = default;
  ~CudaGraph() {
    if (ready_ != nullptr) static_cast<void>(cudaGraphExecDestroy(ready_));
    if (graph_ != nullptr) static_cast<void>(cudaGraphDestroy(graph_));
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  cudaError_t make(const Steps& steps) {
    cudaError_t error = cudaGraphCreate(&graph_, 0);
    for (std::size_t s = 0; s < steps.all().size() && error == cudaSuccess; ++s) {
      error = add(steps.all()[s], s);
    }
    if (error == cudaSuccess) {
      error = cudaGraphInstantiate(&ready_, graph_, cudaGraphInstantiateFlagUseNodePriority);
    }
    steps_ = steps;
    known_ = true;
    return error;
  }

  cudaError_t replay(const Steps& steps, cudaStream_t stream) {
    if (steps.form() != steps_.form()) return cudaErrorInvalidValue;
    const bool known = known_;
    known_ = false;
    for (std::size_t s = 0; s < steps.all().size(); ++s) {
      if (known && steps.all()[s] == steps_.all()[s]) continue;
      const cudaError_t error = set(steps.all()[s], nodes_[s]);
      if (error != cudaSuccess) return error;
    }
    steps_ = steps;
    known_ = true;
    return cudaGraphLaunch(ready_, stream);
  }

 private:
  // The parameters of a node, and what they point at.
  struct KernelNode {
    explicit KernelNode(const Step& step) : arguments{const_cast<ScanArguments*>(&step.arguments)} {
      parameters.func = const_cast<void*>(function_of(step.kernel));
      parameters.gridDim = dim3(step.blocks);
      parameters.blockDim = dim3(threads_of(step.kernel));
      parameters.sharedMemBytes = static_cast<unsigned>(shared_bytes(step.kernel, step.arguments));
      parameters.kernelParams = arguments;
    }
    void* arguments[1];
    cudaKernelNodeParams parameters{};
  };
  static cudaMemsetParams fill_of(const Step& step) {
    cudaMemsetParams fill{};
    fill.dst = step.to;
    fill.elementSize = 1;
    fill.height = 1;
    fill.value = step.byte;
    fill.width = step.bytes;
    return fill;
  }

  cudaError_t add(const Step& step, std::size_t number) {
    cudaGraphNode_t* const node = &nodes_[number];
    const cudaGraphNode_t* const before = number == 0 ? nullptr : &nodes_[number - 1];
    const std::size_t count = number == 0 ? 0 : 1;
    switch (step.kind) {
      case Step::Kind::fill: {
        const cudaMemsetParams fill = fill_of(step);
        return cudaGraphAddMemsetNode(node, graph_, before, count, &fill);
      }
      case Step::Kind::launch: {
        const KernelNode kernel(step);
        const cudaError_t error =
            cudaGraphAddKernelNode(node, graph_, before, count, &kernel.parameters);
        return error == cudaSuccess ? prefer(*node) : error;
      }
      case Step::Kind::copy_out:
        break;
    }
    return cudaGraphAddMemcpyNode1D(node, graph_, before, count, step.to, step.from, step.bytes,
                                    cudaMemcpyDeviceToHost);
  }
  // A node does not take the priority of the stream that it is replayed in.
  static cudaError_t prefer(cudaGraphNode_t node) {
    int lowest = 0;
    int highest = 0;
    const cudaError_t error = cudaDeviceGetStreamPriorityRange(&lowest, &highest);
    if (error != cudaSuccess) return error;
    cudaKernelNodeAttrValue value{};
    value.priority = highest;
    return cudaGraphKernelNodeSetAttribute(node, cudaLaunchAttributePriority, &value);
  }
  cudaError_t set(const Step& step, cudaGraphNode_t node) {
    switch (step.kind) {
      case Step::Kind::fill: {
        const cudaMemsetParams fill = fill_of(step);
        return cudaGraphExecMemsetNodeSetParams(ready_, node, &fill);
      }
      case Step::Kind::launch: {
        const KernelNode kernel(step);
        return cudaGraphExecKernelNodeSetParams(ready_, node, &kernel.parameters);
      }
      case Step::Kind::copy_out:
        break;
    }
    return cudaGraphExecMemcpyNodeSetParams1D(ready_, node, step.to, step.from, step.bytes,
                                              cudaMemcpyDeviceToHost);
  }

  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t ready_ = nullptr;
  cudaGraphNode_t nodes_[Steps::kMax] = {};
  Steps steps_;         // as the nodes have them,
  bool known_ = false;  // if they could all be set
};

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
    void* parameters[] = {const_cast<ScanArguments*>(&arguments)};
    return judge(cudaLaunchKernel(function_of(kernel), dim3(blocks), dim3(threads_of(kernel)),
                                  parameters, shared_bytes(kernel, arguments), stream_of(stream)));
  }

  DriverCode make_graph(const Steps& steps, Graph* graph) override {
    auto made = std::unique_ptr<CudaGraph>(new (std::nothrow) CudaGraph());
    if (made == nullptr) return judge(cudaErrorMemoryAllocation);
    const DriverCode code = judge(made->make(steps));
    if (code == DriverCode::ok) *graph = made.release();
    return code;
  }
  DriverCode end_graph(Graph graph) override {
    delete static_cast<CudaGraph*>(graph);
    return DriverCode::ok;
  }
  DriverCode replay(Graph graph, const Steps& steps, Stream stream) override {
    return judge(static_cast<CudaGraph*>(graph)->replay(steps, stream_of(stream)));
  }

  DriverCode move_rows(const RowMove& move, Stream stream) override {
    try {
      gather(thrust::cuda::par_nosync.on(stream_of(stream)), move);
      return DriverCode::ok;
    } catch (const thrust::system_error& error) {
      return judge(static_cast<cudaError_t>(error.code().value()));
    } catch (const std::bad_alloc&) {
      return judge(cudaErrorMemoryAllocation);
    }
  }

 private:
  const DriverInfo info_;
};

}  // namespace

// Whether the device can be asked for Kernel::scan_warpgroups, with all the shared memory that a
// block can have; what it then answers is another matter.
static bool has_warpgroups(const cudaDeviceProp& properties) {
  const bool can = properties.major == 9 &&
                   properties.sharedMemPerBlockOptin >= std::size_t{kWarpgroupSharedMax};
  if (!can) return false;
  const cudaError_t error = cudaFuncSetAttribute(function_of(Kernel::scan_warpgroups),
                                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 static_cast<int>(kWarpgroupSharedMax));
  return judge(error) == DriverCode::ok;
}

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
  info.warpgroups = has_warpgroups(properties);
  return {std::make_unique<CudaDriver>(std::move(info)), {}};
}

}  // namespace vecserve::engine::gpu
