// A Node addon without functions: loading it registers the operators with the TensorFlow that tfjs-node has loaded already.
#include <node_api.h>

#include "op.h"

extern "C" NAPI_MODULE_EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  rowsmith::registerRmsNorm();
  rowsmith::registerHeads();
  rowsmith::registerSwiglu();
  rowsmith::registerAttention();
  rowsmith::registerCrossEntropy();
  rowsmith::registerAdamW();
  rowsmith::registerMapWeights();
  rowsmith::registerQuantise();
  rowsmith::registerMatMul();
  rowsmith::registerGatherColumns();
  napi_value version;
  napi_create_int32(env, 1, &version);
  napi_set_named_property(env, exports, "version", version);
  return exports;
}
