// A tensor over a private, writable mapping of a file: frozen weights stay in the page cache, shared by every job on the machine;
// rows that are written in place become this process's own pages (copy on write) and never reach the file.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "op.h"

namespace rowsmith {
namespace {

// attributes: path, offset (bytes, a multiple of the page size), rows, columns (0: one-dimensional) -> [rows, columns] f32
struct MapWeights {
  explicit MapWeights(Attributes& a) : path(a.text("path")), offset(a.integer("offset")), rows(a.integer("rows")), columns(a.integer("columns")) {}
  void compute(Call& call) {
    const int64_t dims[2] = {rows, columns};
    const int rank = columns > 0 ? 2 : 1;
    const size_t bytes = sizeof(float) * static_cast<size_t>(rows) * static_cast<size_t>(columns > 0 ? columns : 1);
    call.require(rows > 0 && columns >= 0 && offset >= 0, "rows, columns and offset must not be negative");
    call.require(offset % sysconf(_SC_PAGESIZE) == 0, "offset must be a multiple of the page size");
    if (!call.ok()) return;
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return call.fail("cannot open " + path + ": " + std::strerror(errno));
    struct stat info;
    // Reading past the end of a mapped file kills the process, so the size is checked here.
    const bool fits = fstat(file, &info) == 0 && static_cast<int64_t>(info.st_size) >= offset + static_cast<int64_t>(bytes);
    void* at = fits ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, offset) : MAP_FAILED;
    const int reason = errno;
    close(file);
    if (!fits) return call.fail(path + " is shorter than its index says");
    if (at == MAP_FAILED) return call.fail("cannot map " + path + ": " + std::strerror(reason));
    TF_Tensor* tensor = TF_NewTensor(TF_FLOAT, dims, rank, at, bytes, [](void* data, size_t length, void*) { munmap(data, length); }, nullptr);
    call.setOutput(0, tensor);
    TF_DeleteTensor(tensor);
  }
  std::string path;
  int64_t offset, rows, columns;
};

}  // namespace

void registerMapWeights() {
  registerOp<MapWeights>({"RowsmithMapWeights", {}, {"weights: float"}, {"path: string", "offset: int", "rows: int", "columns: int"}});
}

}  // namespace rowsmith
