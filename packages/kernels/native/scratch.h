// Working memory of a kernel.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace rowsmith {

struct Free {
  void operator()(void* p) const { std::free(p); }
};
template <typename Number>
using Scratch = std::unique_ptr<Number[], Free>;

// Aligned to a cache line: a vector that lies across two costs two reads. Not cleared.
template <typename Number = float>
inline Scratch<Number> scratch(int64_t count) {
  void* p = std::aligned_alloc(64, (count * sizeof(Number) + 63) / 64 * 64);
  if (p == nullptr) throw std::bad_alloc();
  return Scratch<Number>(static_cast<Number*>(p));
}

}  // namespace rowsmith
