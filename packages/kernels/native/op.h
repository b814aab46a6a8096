// Thin sugar over TensorFlow's stable C API for kernels: inputs and outputs with shapes, attributes, errors, registration.
#pragma once
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

namespace rowsmith {

// One call of a kernel. The first failure is reported to TensorFlow; later calls do nothing, so kernels check ok() once before they compute.
class Call {
 public:
  explicit Call(TF_OpKernelContext* context) : context_(context), status_(TF_NewStatus()) {}
  ~Call() {
    for (TF_Tensor* t : owned_) TF_DeleteTensor(t);
    TF_DeleteStatus(status_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool ok() const { return !failed_; }

  TF_Tensor* input(int index) {
    TF_Tensor* tensor = nullptr;
    if (failed_) return nullptr;
    TF_GetInput(context_, index, &tensor, status_);
    if (check()) owned_.push_back(tensor);
    return tensor;
  }

  // null when the type or rank is not the wanted one. rank -1: any.
  template <typename T>
  T* data(TF_Tensor* tensor, TF_DataType type, int rank, const char* name) {
    if (failed_) return nullptr;
    if (TF_TensorType(tensor) != type) return fail(std::string(name) + " has another type than expected"), nullptr;
    if (rank >= 0 && TF_NumDims(tensor) != rank)
      return fail(std::string(name) + " has rank " + std::to_string(TF_NumDims(tensor)) + ", expected " + std::to_string(rank)), nullptr;
    return static_cast<T*>(TF_TensorData(tensor));
  }
  float* floats(TF_Tensor* tensor, int rank, const char* name) { return data<float>(tensor, TF_FLOAT, rank, name); }

  int64_t dim(TF_Tensor* tensor, int axis) const { return failed_ || axis >= TF_NumDims(tensor) ? 0 : TF_Dim(tensor, axis); }

  float* output(int index, std::initializer_list<int64_t> shape) { return static_cast<float*>(allocate(index, shape, TF_FLOAT)); }
  int32_t* integerOutput(int index, std::initializer_list<int64_t> shape) { return static_cast<int32_t*>(allocate(index, shape, TF_INT32)); }
  uint8_t* byteOutput(int index, std::initializer_list<int64_t> shape) { return static_cast<uint8_t*>(allocate(index, shape, TF_UINT8)); }
  void setOutput(int index, TF_Tensor* tensor) {
    if (failed_) return;
    TF_SetOutput(context_, index, tensor, status_);
    check();
  }

  void require(bool condition, const std::string& message) {
    if (!failed_ && !condition) fail(message);
  }
  void fail(const std::string& message) {
    if (failed_) return;
    TF_SetStatus(status_, TF_INVALID_ARGUMENT, message.c_str());
    check();
  }

 private:
  void* allocate(int index, std::initializer_list<int64_t> shape, TF_DataType type) {
    if (failed_) return nullptr;
    std::vector<int64_t> dims(shape);
    int64_t count = 1;
    for (int64_t d : dims) count *= d;
    const size_t bytes = count * TF_DataTypeSize(type);
    TF_Tensor* tensor = TF_AllocateOutput(context_, index, type, dims.data(), static_cast<int>(dims.size()), bytes, status_);
    if (!check()) return nullptr;
    owned_.push_back(tensor);
    return TF_TensorData(tensor);
  }
  bool check() {
    if (TF_GetCode(status_) == TF_OK) return true;
    failed_ = true;
    TF_OpKernelContext_Failure(context_, status_);
    return false;
  }
  TF_OpKernelContext* context_;
  TF_Status* status_;
  bool failed_ = false;
  std::vector<TF_Tensor*> owned_;
};

// Attributes are read once, when TensorFlow makes the kernel.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* construction) : construction_(construction), status_(TF_NewStatus()) {}
  ~Attributes() {
    if (TF_GetCode(status_) != TF_OK) TF_OpKernelConstruction_Failure(construction_, status_);
    TF_DeleteStatus(status_);
  }
  float number(const char* name) {
    float value = 0;
    TF_OpKernelConstruction_GetAttrFloat(construction_, name, &value, status_);
    return value;
  }
  int64_t integer(const char* name) {
    int64_t value = 0;
    TF_OpKernelConstruction_GetAttrInt64(construction_, name, &value, status_);
    return value;
  }
  std::string text(const char* name) {
    int32_t listSize = 0, totalSize = 0;
    TF_OpKernelConstruction_GetAttrSize(construction_, name, &listSize, &totalSize, status_);
    if (TF_GetCode(status_) != TF_OK) return "";
    std::string value(static_cast<size_t>(totalSize), '\0');
    TF_OpKernelConstruction_GetAttrString(construction_, name, value.data(), value.size(), status_);
    return value;
  }

 private:
  TF_OpKernelConstruction* construction_;
  TF_Status* status_;
};

// Kernel: struct with `explicit Kernel(Attributes&)` and `void compute(Call&)`.
template <typename Kernel>
void registerKernel(const char* name) {
  TF_KernelBuilder* builder = TF_NewKernelBuilder(
      name, "CPU",
      [](TF_OpKernelConstruction* construction) -> void* {
        Attributes attributes(construction);
        return new Kernel(attributes);
      },
      [](void* kernel, TF_OpKernelContext* context) {
        Call call(context);
        static_cast<Kernel*>(kernel)->compute(call);
      },
      [](void* kernel) { delete static_cast<Kernel*>(kernel); });
  TF_Status* status = TF_NewStatus();
  TF_RegisterKernelBuilder(name, builder, status);
  if (TF_GetCode(status) != TF_OK) std::fprintf(stderr, "rowsmith kernels: %s: %s\n", name, TF_Message(status));
  TF_DeleteStatus(status);
}

struct OpSpec {
  const char* name;
  std::vector<const char*> inputs;
  std::vector<const char*> outputs;
  std::vector<const char*> attributes;
};

template <typename Kernel>
void registerOp(const OpSpec& spec) {
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(spec.name);
  for (const char* a : spec.attributes) TF_OpDefinitionBuilderAddAttr(builder, a);
  for (const char* i : spec.inputs) TF_OpDefinitionBuilderAddInput(builder, i);
  for (const char* o : spec.outputs) TF_OpDefinitionBuilderAddOutput(builder, o);
  // Ops that write into their inputs must not be merged or dropped should one ever run in a graph.
  TF_OpDefinitionBuilderSetIsStateful(builder, true);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, [](TF_ShapeInferenceContext* c, TF_Status* s) { TF_ShapeInferenceContextSetUnknownShape(c, s); });
  TF_Status* status = TF_NewStatus();
  TF_RegisterOpDefinition(builder, status);
  if (TF_GetCode(status) != TF_OK) std::fprintf(stderr, "rowsmith kernels: %s: %s\n", spec.name, TF_Message(status));
  TF_DeleteStatus(status);
  registerKernel<Kernel>(spec.name);
}

void registerRmsNorm();
void registerHeads();
void registerSwiglu();
void registerAttention();
void registerCrossEntropy();
void registerAdamW();
void registerMapWeights();
void registerQuantise();
void registerMatMul();
void registerGatherColumns();

}  // namespace rowsmith
