// Comes before ggml-vulkan's own files. They name one extension for the sake of developers, layer settings, that
// Vulkan's headers have since 1.3.272 only: with older ones, such as Debian 12's, this is all that they lack.
// ggml fills it in and a loader that does not know it passes it by.
#pragma once

#include <vulkan/vulkan_core.h>

#if VK_HEADER_VERSION < 272

#include <cstdint>
#include <vector>

namespace vk {

enum class LayerSettingTypeEXT { eBool32 = 0 };

// VkLayerSettingEXT
struct LayerSettingEXT {
    const char *        layer;
    const char *        setting;
    LayerSettingTypeEXT type;
    uint32_t            count;
    const void *        values;
};

// VkLayerSettingsCreateInfoEXT
struct LayerSettingsCreateInfoEXT {
    VkStructureType         type = static_cast<VkStructureType>(1000496000);
    const void *            next = nullptr;
    uint32_t                count;
    const LayerSettingEXT * settings;

    explicit LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> & settings)
        : count(static_cast<uint32_t>(settings.size())), settings(settings.data()) {}
};

} // namespace vk

#endif
