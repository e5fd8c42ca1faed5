from django.http import JsonResponse
from django.shortcuts import get_object_or_404

from catalog.models import Article


async def healthz(request):
    return JsonResponse({"ok": True})


def articles(request):
    return JsonResponse(list(Article.objects.values("id", "name")[:50]), safe=False)


def article(request, pk):
    return JsonResponse({"name": get_object_or_404(Article, pk=pk).name})
