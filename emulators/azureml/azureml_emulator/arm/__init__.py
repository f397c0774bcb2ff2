"""Operations of Azure Resource Manager: assets, computes, jobs, endpoints, deployments, registries."""
